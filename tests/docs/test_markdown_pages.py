"""Pages are taken apart as their readers see them."""

import pytest
from markdown_pages import Block, blocks, commands, expects

PAGE = """\
# A page

```python
a = 1
print(a)
```

```text
1
```

```python
b = 2
```
words between
```text
no output of anything
```

<!-- not run: needs a camera -->
```python
look()
```

<!-- with: pets, runs/a -->
~~~python
read("pets")
~~~

- in a list

  ```sh
  verydeep nets
    deeper
  ```

````text
```python
not_a_block()
```
````
"""


def test_blocks_have_lines_languages_and_outputs() -> None:
    found = blocks(PAGE)
    assert [(b.line, b.language) for b in found] == [
        (4, "python"),
        (9, "text"),
        (13, "python"),
        (17, "text"),
        (22, "python"),
        (27, "python"),
        (33, "sh"),
        (38, "text"),
    ]
    assert [b.output for b in found if b.language == "python"] == ["1", None, None, None]
    assert all(b.text.splitlines()[0] == PAGE.splitlines()[b.line - 1].strip() for b in found)


def test_comments_belong_to_the_block_behind_them() -> None:
    found = blocks(PAGE)
    assert [b.not_run for b in found if b.not_run] == ["needs a camera"]
    assert [b.props for b in found if b.props] == [("pets", "runs/a")]


def test_indentation_of_the_fence_is_left_out() -> None:
    assert blocks(PAGE)[6].text == "verydeep nets\n  deeper"


def test_open_fences_are_told() -> None:
    with pytest.raises(ValueError, match="line 2"):
        blocks("a\n```python\nb\n")


@pytest.mark.parametrize(
    ("promised", "printed", "right"),
    [
        ("1.5", "1.5\n", True),
        ("a  \nb", "a\nb   \n", True),
        ("error … %\nend", "error 3.1 %\nend", True),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("1.5", "1x5", False),
        ("a", "a\nb", False),
        ("…a", "b", False),
        ("", "", True),
        ("", "a", False),
    ],
)
def test_promised_output(promised: str, printed: str, right: bool) -> None:
    assert expects(promised, printed) is right


def calls(text: str) -> list[tuple[int, list[str]]]:
    return [(c.line, list(c.words)) for c in commands(Block(10, "sh", text))]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("verydeep nets   # Table 1", ["nets"]),
        ("$ verydeep nets", ["nets"]),
        ("verydeep predict runs/a x/ --csv > x.csv", ["predict", "runs/a", "x/", "--csv"]),
        ("verydeep report runs/a 2>&1 | tee log", ["report", "runs/a"]),
        ("verydeep report runs/a >>log 2> err", ["report", "runs/a"]),
        ("cd x && OMP_NUM_THREADS=1 verydeep nets D --size 64", ["nets", "D", "--size", "64"]),
        ("torchrun --nproc-per-node 2 -m verydeep evaluate runs/a", ["evaluate", "runs/a"]),
        (".venv/bin/verydeep demo", ["demo"]),
        ("for s in 1 2; do verydeep demo --out r$s; done", ["demo", "--out", "r$s"]),
        ("verydeep train 'a-{0..9}.tar' --set 'x=[1, 2]'", None),
        ("echo verydeep", []),
        ("pip install verydeep", []),
        ("verydeep: the recipe cannot be used", []),
        ("cd verydeep", []),
    ],
)
def test_calls_of_the_program(line: str, words: list[str] | None) -> None:
    if words is None:
        words = ["train", "a-{0..9}.tar", "--set", "x=[1, 2]"]
    assert calls(line) == ([(10, words)] if words else [])


def test_lines_go_on_behind_a_stroke() -> None:
    assert calls("true\nverydeep train pets \\\n  --out o\nverydeep nets") == [
        (11, ["train", "pets", "--out", "o"]),
        (13, ["nets"]),
    ]


def test_lines_without_a_prompt_are_output_where_there_are_prompts() -> None:
    assert calls("$ verydeep nets\nverydeep says this\n$ verydeep demo") == [
        (10, ["nets"]),
        (12, ["demo"]),
    ]
