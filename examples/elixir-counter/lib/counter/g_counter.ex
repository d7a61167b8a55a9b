defmodule Counter.GCounter do
  @moduledoc """
  A grow-only counter (G-Counter), the simplest of the state-based CRDTs.

  Each replica counts in a slot of its own, and the value is the sum of the
  slots. A slot only grows and only its owner makes it grow, so of two versions
  of a slot the greater is the later. Merging takes the maximum of each slot:
  counters may be merged in any order and any number of times, and replicas that
  have seen the same increments are equal.
  """

  @type slot :: term
  @opaque t :: %{optional(slot) => pos_integer}

  @spec new() :: t
  def new, do: %{}

  @spec increment(t, slot, pos_integer) :: t
  def increment(counter, slot, amount), do: Map.update(counter, slot, amount, &(&1 + amount))

  @doc "The part of the counter that `slot` alone holds."
  @spec take(t, slot) :: t
  def take(counter, slot), do: Map.take(counter, [slot])

  @spec merge(t, t) :: t
  def merge(a, b), do: Map.merge(a, b, fn _slot, m, n -> max(m, n) end)

  @spec value(t) :: non_neg_integer
  def value(counter), do: counter |> Map.values() |> Enum.sum()
end
