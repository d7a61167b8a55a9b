defmodule Counter do
  @moduledoc """
  A counter that a whole cluster shares.

  Every node counts for itself and answers from what it knows, so neither
  function waits for another node or fails during a partition. The nodes tell
  each other (`Counter.Replica`), and once they can, all of them answer the same
  (`Counter.GCounter`).
  """

  alias Counter.Replica

  @doc """
  Adds `amount` and returns the value as this node then knows it.
  """
  @spec increment(pos_integer) :: pos_integer
  def increment(amount \\ 1) when is_integer(amount) and amount > 0 do
    Replica.increment(amount)
  end

  @doc """
  The sum of all increments that this node knows of.
  """
  @spec value() :: non_neg_integer
  def value, do: Replica.value()

  @doc """
  The nodes whose replicas this node knows, itself included, sorted.
  """
  @spec members() :: [node]
  def members do
    Replica.members() |> Enum.map(&node/1) |> Enum.uniq() |> Enum.sort()
  end
end
