defmodule Counter.ClusterTest do
  # Against live nodes; see test_helper.exs.
  use ExUnit.Case

  import Counter.LiveCluster

  @moduletag :real_nodes

  setup_all do
    {:ok, nodes: join()}
  end

  setup %{nodes: nodes} do
    mesh(nodes)
    :ok
  end

  test "this node watches without being a member", %{nodes: nodes} do
    assert eventually(nodes, Counter, :members, []) == Enum.sort(nodes)
    for node <- nodes, do: refute(node() in call(node, :erlang, :nodes, []))
  end

  test "increments on every node add up on all", %{nodes: nodes} do
    before = eventually(nodes, Counter, :value, [])
    amounts = Enum.zip(nodes, Stream.iterate(1, &(&1 * 10)))

    for {node, amount} <- amounts, do: call(node, Counter, :increment, [amount])

    sum = amounts |> Enum.map(fn {_node, amount} -> amount end) |> Enum.sum()
    assert eventually(nodes, Counter, :value, [], before + sum) == before + sum
  end

  test "concurrent increments are all counted, none twice", %{nodes: nodes} do
    before = eventually(nodes, Counter, :value, [])

    nodes
    |> Enum.map(fn node ->
      Task.async(fn -> for _ <- 1..100, do: call(node, Counter, :increment, []) end)
    end)
    |> Enum.each(&Task.await/1)

    expected = before + 100 * length(nodes)
    assert eventually(nodes, Counter, :value, [], expected) == expected
  end

  test "a node that stops counting and returns knows what it missed", %{
    nodes: [first | _] = nodes
  } do
    last = List.last(nodes)
    before = eventually(nodes, Counter, :value, [])

    assert call(last, Counter, :increment, []) == before + 1
    assert eventually(nodes, Counter, :value, [], before + 1) == before + 1
    :ok = call(last, Application, :stop, [:counter])
    assert call(first, Counter, :increment, []) == before + 2
    :ok = call(last, Application, :start, [:counter])

    assert eventually(nodes, Counter, :value, [], before + 2) == before + 2
    call(last, Counter, :increment, [])
    assert eventually(nodes, Counter, :value, [], before + 3) == before + 3
  end

  test "both sides of a partition count, and agree when it heals", %{nodes: [first | _] = nodes} do
    cut = List.last(nodes)
    rest = nodes -- [cut]
    before = eventually(nodes, Counter, :value, [])

    for node <- rest, do: call(cut, Node, :disconnect, [node])
    assert eventually([cut], Counter, :members, [], [cut]) == [cut]
    mesh(rest)

    assert call(first, Counter, :increment, [10]) == before + 10
    assert call(cut, Counter, :increment, [100]) == before + 100
    # Longer than the gossip interval: nothing crosses, nothing reconnects.
    Process.sleep(700)
    assert call(first, Counter, :value, []) == before + 10
    assert call(cut, Counter, :value, []) == before + 100

    mesh(nodes)
    assert eventually(nodes, Counter, :value, [], before + 110) == before + 110
  end
end
