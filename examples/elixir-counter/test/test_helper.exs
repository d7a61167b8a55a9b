# The tests against a live cluster are run by
#
#     beamctl exec -- mix test --only real_nodes
ExUnit.start(exclude: [:real_nodes])
