defmodule Counter.Application do
  @moduledoc false
  use Application

  @impl true
  def start(_type, _args) do
    # The replica joins a group of the scope, and must join again should the
    # scope restart: hence :rest_for_one.
    children = [
      %{id: :pg, start: {:pg, :start_link, [Counter.Replica.scope()]}},
      Counter.Replica
    ]

    Supervisor.start_link(children, strategy: :rest_for_one, name: Counter.Supervisor)
  end
end
