# What crashes in Elixir, each in its own way.
defmodule Srv do
  use GenServer
  def start_link(_), do: GenServer.start_link(__MODULE__, %{hidden: "hunter2"}, name: Srv)
  def init(s), do: {:ok, s}
  def handle_cast(:boom, _), do: raise("oops")
end

me = self()
spawn(fn -> Process.flag(:trap_exit, true); Supervisor.start_link([Srv], strategy: :one_for_one, name: My.Sup); send(me, :up); Process.sleep(:infinity) end)
receive do: (:up -> :ok)

crash = fn f -> {_, ref} = spawn_monitor(f); receive(do: ({:DOWN, ^ref, _, _, _} -> :ok)) end

ref = Process.monitor(Srv)
GenServer.cast(Srv, :boom)
receive do: ({:DOWN, ^ref, _, _, _} -> :ok)
{:ok, task} = Task.start(fn -> receive(do: (:go -> raise(ArgumentError, "bad arg"))) end)
ref = Process.monitor(task)
send(task, :go)
receive do: ({:DOWN, ^ref, _, _, _} -> :ok)
crash.(fn -> raise "plain process" end)

require Logger
Logger.error("the application of user #{:rand.uniform(1000)} has a problem")
Logger.error("the application of user #{:rand.uniform(1000)} has a problem")
Logger.warning("careful")
Logger.flush()
Process.sleep(200)
