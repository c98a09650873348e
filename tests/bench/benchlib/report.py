"""The table: a section for each part, a row for each measurement."""


def number(value):
    """Three digits that count."""
    return "%.0f" % value if value >= 100 else "%.1f" % value if value >= 10 else "%.2f" % value


def spread(value):
    return "%s (%s..%s)" % (number(value["median"]), number(value["min"]), number(value["max"]))


def table(title, rows, peers, out):
    """rows: (label, {peer: {"value": summary, "calls": summary or None}}). The first peer is ours; the others have a ratio
    to it, theirs by ours. A column of calls is there where somebody has them."""
    counted = any(value.get("calls") for _, values in rows for value in values.values())
    head = [title]
    for index, peer in enumerate(peers):
        head += [peer] + (["calls"] if counted else []) + (["ratio"] if index > 0 else [])
    lines = [head]
    for label, values in rows:
        line, mine = [label], values.get(peers[0])
        for index, peer in enumerate(peers):
            value = values.get(peer)
            line.append(spread(value["value"]) if value else "-")
            if counted:
                line.append("%.2f" % value["calls"]["median"] if value and value.get("calls") else "")
            if index > 0:
                known = value and mine and mine["value"]["median"] > 0
                line.append("%.2fx" % (value["value"]["median"] / mine["value"]["median"]) if known else "")
        lines.append(line)
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    for line in lines:
        print("  ".join([line[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]).rstrip(),
              file=out)
