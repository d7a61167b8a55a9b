defmodule Counter.GCounterTest do
  use ExUnit.Case, async: true

  alias Counter.GCounter

  setup do
    a = GCounter.new() |> GCounter.increment(:a, 3)
    b = GCounter.new() |> GCounter.increment(:b, 4)
    later_a = GCounter.increment(a, :a, 10)
    {:ok, a: a, b: b, later_a: later_a}
  end

  test "the value is the sum of all slots", %{a: a, b: b} do
    assert GCounter.value(GCounter.new()) == 0
    assert GCounter.value(a) == 3
    assert GCounter.value(GCounter.merge(a, b)) == 7
  end

  test "the later version of a slot wins, also when it arrives first", %{a: a, later_a: later_a} do
    assert GCounter.value(GCounter.merge(a, later_a)) == 13
    assert GCounter.value(GCounter.merge(later_a, a)) == 13
  end

  test "merge is commutative, associative and idempotent", %{a: a, b: b, later_a: c} do
    for x <- [a, b, c], y <- [a, b, c], z <- [a, b, c] do
      assert GCounter.merge(x, y) == GCounter.merge(y, x)
      assert GCounter.merge(x, GCounter.merge(y, z)) == GCounter.merge(GCounter.merge(x, y), z)
      assert GCounter.merge(x, x) == x
    end
  end

  test "take gives one slot only", %{a: a, b: b} do
    assert GCounter.merge(a, b) |> GCounter.take(:b) == b
  end
end
