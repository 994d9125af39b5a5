"""The benchmarks. One direction: each file knows only those below it.

| file                     | holds                                                                    |
|--------------------------|--------------------------------------------------------------------------|
| `cli.py`                 | the options, and the order in which things happen                         |
| `document.py`            | BENCHMARKS.md: one block per scenario between markers                     |
| `report.py`              | the Markdown tables of a scenario                                         |
| `turns.py`               | repetitions in turns, disturbed rows once more, every row into a file     |
| `scenarios/`             | what is measured, one file each, with columns and goals                   |
| `contenders/`            | what is compared: how each is started, replaced and taken apart           |
| `results.py`             | from rows to one figure per metric                                        |
| `load.py`, `answers.py`  | load generators; single requests                                          |
| `parts.py`               | what is compiled, or installed into the cache                            |
| `tools.py`               | which programs are needed, found, built, installed                        |
| `machine.py`, `noise.py` | what it ran on; who disturbed it                                          |
| `processes.py`           | children: started, accounted for, ended by their id                       |
"""
