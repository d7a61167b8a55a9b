defmodule Counter.Replica do
  @moduledoc """
  One node's copy of the counter.

  The replicas find each other through a `:pg` group. An increment is told to the
  others at once, one slot and one message each; should that message be lost,
  or a node have joined or been cut off since, the whole counter follows within
  half a second (it is as small as the cluster). Because merging is idempotent
  nobody has to keep track of who knows what.

  A slot belongs to one *life* of a replica, `{node, start time}`: one that
  restarts must not reuse its old slot before it knows how far that had
  counted, and so does not reuse it at all.
  """

  use GenServer

  alias Counter.GCounter

  @scope Counter.PG
  @group __MODULE__
  @gossip_interval 500

  def start_link(_opts), do: GenServer.start_link(__MODULE__, nil, name: __MODULE__)

  @spec scope() :: atom
  def scope, do: @scope

  @spec increment(pos_integer) :: pos_integer
  def increment(amount), do: GenServer.call(__MODULE__, {:increment, amount})

  @spec value() :: non_neg_integer
  def value, do: GenServer.call(__MODULE__, :value)

  @spec members() :: [pid]
  def members, do: :pg.get_members(@scope, @group)

  @impl true
  def init(nil) do
    :ok = :pg.join(@scope, @group, self())
    send(self(), :gossip)
    {:ok, %{slot: {node(), System.system_time()}, counter: GCounter.new()}}
  end

  @impl true
  def handle_call({:increment, amount}, _from, %{slot: slot} = state) do
    counter = GCounter.increment(state.counter, slot, amount)
    tell_others(GCounter.take(counter, slot))
    {:reply, GCounter.value(counter), %{state | counter: counter}}
  end

  def handle_call(:value, _from, state) do
    {:reply, GCounter.value(state.counter), state}
  end

  @impl true
  def handle_info(:gossip, state) do
    Process.send_after(self(), :gossip, @gossip_interval)
    tell_others(state.counter)
    {:noreply, state}
  end

  def handle_info({:merge, counter}, state) do
    {:noreply, %{state | counter: GCounter.merge(state.counter, counter)}}
  end

  # Makes no connection (to mend a partition is not the counter's business), and
  # does not wait for a node that reads nothing: there is always a next time.
  defp tell_others(counter) do
    for replica <- members(), replica != self() do
      :erlang.send(replica, {:merge, counter}, [:noconnect, :nosuspend])
    end
  end
end
