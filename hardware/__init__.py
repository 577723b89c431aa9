"""What neuromorphic machines can do with a network: limits, fixed-point emulation, export and import."""
