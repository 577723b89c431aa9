"""A `Network` on SpiNNaker, before there is a board: what fits, what is rounded, and which spikes it will send."""
