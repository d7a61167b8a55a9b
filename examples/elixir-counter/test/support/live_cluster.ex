defmodule Counter.LiveCluster do
  @moduledoc """
  Joins the cluster that `beamctl exec` describes in the environment, as a
  hidden node, and asks its nodes.

    * `BEAMCTL_NODES` - the full names of the nodes, comma-separated
    * `BEAMCTL_COOKIE_FILE` - the file that holds their cookie
    * `ERL_EPMD_PORT` - where they are registered (read by the runtime itself)
  """

  @patience 10_000
  @call_timeout 5_000

  @doc "Starts distribution, connects to all nodes and returns their names."
  @spec join() :: [node]
  def join do
    nodes = "BEAMCTL_NODES" |> env() |> String.split(",") |> Enum.map(&String.to_atom/1)
    cookie = "BEAMCTL_COOKIE_FILE" |> env() |> File.read!() |> String.trim()

    Application.put_env(:kernel, :inet_dist_use_interface, {127, 0, 0, 1})
    {:ok, _} = Node.start(:"counter_test_#{System.pid()}@127.0.0.1", :longnames)
    Node.set_cookie(String.to_atom(cookie))

    for node <- nodes do
      # What the flag -hidden makes of every connection, for a VM that is already running.
      :net_kernel.hidden_connect_node(node) == true || raise "cannot connect to #{node}"
      node
    end
  end

  @doc "Calls a function on a node."
  @spec call(node, module, atom, [term]) :: term
  def call(node, module, fun, args), do: :erpc.call(node, module, fun, args, @call_timeout)

  @doc """
  Calls a function on all nodes until they agree, on `expected` if that is given,
  and returns what they agree on; raises with the last answers otherwise.
  """
  def eventually(nodes, module, fun, args, expected \\ :anything) do
    wait_until(fn ->
      case nodes |> Enum.map(&call(&1, module, fun, args)) |> Enum.uniq() do
        [agreed] when expected in [:anything, agreed] -> {:ok, agreed}
        answers -> {:error, answers}
      end
    end)
  end

  @doc """
  Connects all with all, again and again until it holds: since OTP 25 `:global`
  answers a cut by cutting more, which may also part nodes on the same side.
  """
  def mesh(nodes) do
    wait_until(fn ->
      for a <- nodes, b <- nodes, a < b, do: call(a, Node, :connect, [b])

      case nodes |> Enum.map(&call(&1, Counter, :members, [])) |> Enum.uniq() do
        [members] when length(members) == length(nodes) -> {:ok, members}
        views -> {:error, views}
      end
    end)
  end

  defp wait_until(check, deadline \\ now() + @patience) do
    case check.() do
      {:ok, result} ->
        result

      {:error, seen} ->
        now() < deadline || raise "not within #{@patience} ms; last seen: #{inspect(seen)}"
        Process.sleep(20)
        wait_until(check, deadline)
    end
  end

  defp now, do: System.monotonic_time(:millisecond)

  defp env(name) do
    System.get_env(name) || raise "#{name} is not set: run this under `beamctl exec`"
  end
end
