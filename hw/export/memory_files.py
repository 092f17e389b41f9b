"""Contents of memories in files of their own, which ``$readmemh`` reads, in place of statements in the Verilog."""

import re

READ = re.compile(r'\$readmemh\("(?P<file>[^"/\\]+)", (?P<memory>\w+), 0, (?P<last>\d+)\);')
"""A call that reads a file of `moved_to_files`."""
INFERENCE = "inference only"
"""What the first line of the Verilog of a core says that only infers."""
_MODULE = re.compile(r"^module \w*__lanes__group_(\d+)__memory \($.*?^endmodule$", re.MULTILINE | re.DOTALL)
_INITIAL = re.compile(r"^  initial begin\n((?:    bank_(\d+)\[\d+\] = \d+'[dh][0-9a-f]+;\n)+)  end\n", re.MULTILINE)
_WORD = re.compile(r"\[(\d+)\] = (\d+)'([dh])([0-9a-f]+);")


def file_name(group: int, bank: int) -> str:
    """File of a bank of the weight memory of a group of lanes."""
    return f"opzo_weights_{group}_{bank}.hex"


def moved_to_files(verilog: str) -> tuple[str, dict[str, str]]:
    """Verilog whose weight memories are read from files, and the contents of these: a hexadecimal word in each line."""
    files: dict[str, str] = {}

    def move_group(module: re.Match[str]) -> str:
        def move(block: re.Match[str]) -> str:
            words = _WORD.findall(block[1])
            if [int(index) for index, *_ in words] != list(range(len(words))):
                raise AssertionError("the words of a memory are not in order")
            name, bank = file_name(int(module[1]), int(block[2])), block[2]
            values = [(int(value, 10 if base == "d" else 16), int(bits)) for _, bits, base, value in words]
            files[name] = "".join(f"{value:0{-(-bits // 4)}x}\n" for value, bits in values)
            return f'  initial $readmemh("{name}", bank_{bank}, 0, {len(words) - 1});\n'

        return _INITIAL.sub(move, module[0])

    return _MODULE.sub(move_group, verilog), files
