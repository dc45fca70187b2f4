"""Pages of what machines do: the board, its cells, ZIPs and presets."""
