defmodule CounterTest do
  # Not async: there is one counter per node.
  use ExUnit.Case

  test "increment adds and returns the new value" do
    before = Counter.value()
    assert Counter.increment() == before + 1
    assert Counter.increment(41) == before + 42
    assert Counter.value() == before + 42
  end

  test "only a positive integer can be added" do
    for amount <- [0, -1, 1.5, "1"] do
      assert_raise FunctionClauseError, fn -> Counter.increment(amount) end
    end
  end

  test "concurrent increments are all counted" do
    before = Counter.value()

    1..50
    |> Enum.map(fn _ -> Task.async(&Counter.increment/0) end)
    |> Enum.each(&Task.await/1)

    assert Counter.value() == before + 50
  end

  test "what another replica tells is counted once" do
    before = Counter.value()
    told = Counter.GCounter.increment(Counter.GCounter.new(), {:elsewhere, make_ref()}, 7)

    send(Counter.Replica, {:merge, told})
    send(Counter.Replica, {:merge, told})

    assert Counter.value() == before + 7
  end

  test "a node alone is its own member" do
    assert Counter.members() == [node()]
  end

  @tag :capture_log
  test "a replica that crashes is back, joins again and counts in a new slot" do
    replica = Process.whereis(Counter.Replica)
    Counter.increment()
    %{slot: slot} = :sys.get_state(replica)
    monitor = Process.monitor(replica)

    Process.exit(replica, :kill)
    assert_receive {:DOWN, ^monitor, :process, ^replica, :killed}

    successor = await(fn -> Process.whereis(Counter.Replica) end)
    assert %{slot: new_slot} = :sys.get_state(successor)
    assert new_slot != slot
    assert Counter.Replica.members() == [successor]
    assert Counter.increment() == 1
  end

  defp await(fun) do
    fun.() || (Process.sleep(5) && await(fun))
  end
end
