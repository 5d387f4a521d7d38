"""The report of a campaign at its end."""
import resource


def report(world):
    print(f"\nseed {world.options.seed}: {world.round} rounds")
    print("faults: " + ", ".join(f"{number} {kind}" for kind, number in sorted(world.ledger.kinds.items())))
    for what, number in sorted(world.counts.items()):
        print(f"  {number:9} {what}")
    if world.recoveries:
        ordered = sorted(world.recoveries)
        print(f"everything works after the last fault of a round: median {ordered[len(ordered) // 2]:.2f} s, longest {ordered[-1]:.2f} s")
    used, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"the campaign itself: {used.ru_utime + used.ru_stime:.0f} s of CPU time, {used.ru_maxrss >> 10} MB; "
          f"its links, buses and daemons that have ended: {children.ru_utime + children.ru_stime:.0f} s")
    print(f"longest time that the machine had none for the campaign: {world.ledger.stalls.longest:.2f} s")
    for name, samples in sorted(world.memory.items()):
        megabytes, descriptors = (" ".join(map(str, each)) for each in zip(*samples))
        print(f"{name}: {megabytes} MB, {descriptors} descriptors after each round")
    if world.findings.counts:
        print("FINDINGS: " + ", ".join(f"{number} {kind}" for kind, number in sorted(world.findings.counts.items())))
    else:
        print("no finding")
    print(flush=True)
