import pytest

from hangar import promql, watch_list


@pytest.mark.parametrize(
    ("expression", "narrowed"),
    [
        ("up == 0", 'up{m="a"} == 0'),
        ('up{job="x"}', 'up{m="a",job="x"}'),
        ("up{}", 'up{m="a"}'),
        ("rate(a_total[5m]) > 0.6", 'rate(a_total{m="a"}[5m]) > 0.6'),
        ("sum by (state) (increase(a[1h]))", 'sum by (state) (increase(a{m="a"}[1h]))'),
        ("a > on () group_left () 4 * count(count by (cpu) (b))",
         'a{m="a"} > on () group_left () 4 * count(count by (cpu) (b{m="a"}))'),
        ("(a unless a offset 30m) and on (x) b or c",
         '(a{m="a"} unless a{m="a"} offset 30m) and on (x) b{m="a"} or c{m="a"}'),
        ('a{b=~"}x{|[y"}[1m]', 'a{m="a",b=~"}x{|[y"}[1m]'),
        ("time() - a:rate_1m > 3e3 * 86400", 'time() - a:rate_1m{m="a"} > 3e3 * 86400'),
        ("rate(a[$rate])", 'rate(a{m="a"}[$rate])'),
        ("absent(a{b='c'})", "absent(a{m=\"a\",b='c'})"),
    ],
)  # fmt: skip
def test_every_series_and_nothing_else_is_of_the_one_machine(expression: str, narrowed: str) -> None:
    assert promql.narrowed(expression, "m", "a") == narrowed


def test_a_selector_without_a_name_is_refused() -> None:
    """It would select every machine's series."""
    with pytest.raises(ValueError, match=r"a selector without a name: count\(\{x=\"y\"\}\)"):
        promql.narrowed('count({x="y"})', "m", "a")


def test_the_series_of_our_lists_are_all_found() -> None:
    """What is watched are figures of three sources, and of the monitoring's own programs."""
    expressions = [one["expr"] for panel in watch_list.panels() for one in panel["series"]]
    expressions += [one.expr for one in watch_list.alerts() if one.expr]
    found = set().union(*(promql.names(one) for one in expressions))
    ours = ("node_", "hangar_", "airflow_", "process_")
    assert {one for one in found if not one.startswith(ours)} == set()
    assert {"node_cpu_seconds_total", "hangar_cpu_used_ratio", "airflow_pool_slots"} <= found
