"""What a simulation costs, in neurosim and in its peers, on the same models and in the same run.

    python -m neurosim.benchmarks.speed.run --models M1,M3 --repeats 3     # measures; appends to results/speed.jsonl
    python -m neurosim.benchmarks.speed.table                              # renders results/speed.md from that file
    python -m neurosim.benchmarks.speed.scaling                            # cost against size, activity and threads

``models`` holds every number of the models once. ``peer_<name>`` builds and runs one model in one simulator, and is a
program of its own, since every measurement has a fresh process:
``python -m neurosim.benchmarks.speed.peer_nest M3 12500 --duration 250`` prints one line of JSON at the end.
"""
