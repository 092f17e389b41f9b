"""The supported boards."""

from dataclasses import replace

from opzo.boards.board import Board, Family, Light, Resources
from opzo.spec.messages import no_such

ECP5_25 = Resources(luts=24_288, flip_flops=24_288, block_rams=56, multipliers=28)
"""Resources of the 25F, and of the 12F: it has the same die, and the open tools use all of it."""
ECP5_45 = Resources(luts=43_848, flip_flops=43_848, block_rams=108, multipliers=72)
ECP5_85 = Resources(luts=83_640, flip_flops=83_640, block_rams=208, multipliers=156)
GW1N_9 = Resources(luts=8_640, flip_flops=6_480, block_rams=26, multipliers=20)
GW2A_18 = Resources(luts=20_736, flip_flops=15_552, block_rams=46, multipliers=48)
ARTIX_35 = Resources(luts=20_800, flip_flops=41_600, block_rams=50, multipliers=90)
ARTIX_100 = Resources(luts=63_400, flip_flops=126_800, block_rams=135, multipliers=240)
CYCLONE_110 = Resources(luts=83_820, flip_flops=167_640, block_rams=553, multipliers=224)


def _leds(first: int) -> tuple[Light, Light, Light]:
    return Light("led", first), Light("led", first + 1), Light("led", first + 2)


def _rgb(number: int = 0) -> tuple[Light, Light, Light]:
    """LEDs of link (green), training (blue) and error (red) in one RGB LED."""
    return Light("rgb_led", number, "g"), Light("rgb_led", number, "b"), Light("rgb_led", number, "r")


def _board(
    name: str,
    title: str,
    family: Family,
    platform: str,
    device: Resources,
    *,
    clock: float,
    core: float,
    baud: int,
    bridge: str,
    lights: tuple[Light, Light, Light],
    loader: tuple[str, ...],
    uart_pins: tuple[str, str] | None = None,
    part_family: str | None = None,
    boots_from_flash: bool = False,
    row: Light | None = None,
) -> Board:
    link, training, error = lights
    return Board(
        *(name, title, family, platform, device, clock, core, baud, bridge, link, training, error, loader, uart_pins),
        part_family,
        boots_from_flash,
        row,
    )


_ULX3S = _board(
    "ulx3s-85f",
    "Radiona ULX3S 85F",
    Family.ECP5,
    "ulx3s:ULX3S_85F_Platform",
    ECP5_85,
    clock=25,
    core=60,
    baud=3_000_000,
    bridge="FT231X",
    lights=_leds(0),
    loader=("-b", "ulx3s"),
)
_ORANGECRAB = _board(
    "orangecrab-25f",
    "OrangeCrab r0.2 25F",
    Family.ECP5,
    "orangecrab_r0_2:OrangeCrabR0_2_25FPlatform",
    ECP5_25,
    clock=48,
    core=60,
    baud=3_000_000,
    bridge="",
    lights=_rgb(),
    loader=("-b", "orangeCrab"),
    uart_pins=("io_0:0", "io_0:1"),
    boots_from_flash=True,
)
_ECPIX = _board(
    "ecpix5-85f",
    "LambdaConcept ECPIX-5 85F",
    Family.ECP5,
    "ecpix5:ECPIX585Platform",
    ECP5_85,
    clock=100,
    core=60,
    baud=12_000_000,
    bridge="FT2232H",
    lights=_rgb(),
    loader=("-b", "ecpix5"),
)
_COLORLIGHT_I5 = _board(
    "colorlight-i5",
    "Colorlight i5 with extension board",
    Family.ECP5,
    "opzo.boards.platforms.colorlight:ColorlightI5",
    ECP5_25,
    clock=25,
    core=60,
    baud=115_200,
    bridge="DAPLink",
    lights=(Light("led", 0), Light("led", 0), Light("led", 0)),
    loader=("-b", "colorlight-i5"),
)
_ARTY = _board(
    "arty-a7-35",
    "Digilent Arty A7-35",
    Family.XILINX,
    "arty_a7:ArtyA7_35Platform",
    ARTIX_35,
    clock=100,
    core=100,
    baud=12_000_000,
    bridge="FT2232H",
    lights=_leds(0),
    loader=("-b", "arty_a7_35t"),
)

BOARDS = (
    _ULX3S,
    replace(
        _ULX3S, name="ulx3s-25f", title="Radiona ULX3S 25F", platform_name="ulx3s:ULX3S_25F_Platform", device=ECP5_25
    ),
    replace(
        _ULX3S, name="ulx3s-12f", title="Radiona ULX3S 12F", platform_name="ulx3s:ULX3S_12F_Platform", device=ECP5_25
    ),
    _ORANGECRAB,
    replace(
        _ORANGECRAB,
        name="orangecrab-85f",
        title="OrangeCrab r0.2 85F",
        platform_name="orangecrab_r0_2:OrangeCrabR0_2_85FPlatform",
        device=ECP5_85,
    ),
    _board(
        "icesugar-pro",
        "Muse Lab iCESugar-pro",
        Family.ECP5,
        "icesugar_pro:ICESugarProPlatform",
        ECP5_25,
        clock=25,
        core=60,
        baud=115_200,
        bridge="iCELink",
        lights=_rgb(),
        loader=("-c", "cmsisdap", "--vid", "0x1d50", "--pid", "0x602b"),
    ),
    replace(
        _ECPIX,
        name="ecpix5-45f",
        title="LambdaConcept ECPIX-5 45F",
        platform_name="ecpix5:ECPIX545Platform",
        device=ECP5_45,
    ),
    _ECPIX,
    _board(
        "icepi-zero",
        "Icepi Zero 1.3",
        Family.ECP5,
        "icepi_zero:IcepiZero1_3Platform",
        ECP5_25,
        clock=50,
        core=60,
        baud=3_000_000,
        bridge="FT231X",
        lights=_leds(0),
        loader=("-b", "icepi-zero"),
    ),
    _board(
        "butterstick",
        "ButterStick 85F",
        Family.ECP5,
        "opzo.boards.platforms.butterstick:ButterStick",
        ECP5_85,
        clock=30,
        core=60,
        baud=3_000_000,
        bridge="",
        lights=_rgb(),
        loader=("--dfu", "--vid", "0x1209", "--pid", "0x5af1", "--altsetting", "0"),
        # CMD and DAT0 of the SD card slot: the other free pins are at a voltage that gateware must first set.
        uart_pins=("A13", "C12"),
        boots_from_flash=True,
        row=Light("led_row", 0),
    ),
    _board(
        "colorlight-5a-75b",
        "Colorlight 5A-75B 7.0",
        Family.ECP5,
        "opzo.boards.platforms.colorlight:Colorlight5A75B",
        ECP5_25,
        clock=25,
        core=60,
        baud=3_000_000,
        bridge="",
        lights=_leds(0),
        loader=("-b", "colorlight", "-c", "ft232"),
    ),
    _COLORLIGHT_I5,
    replace(
        _COLORLIGHT_I5,
        name="colorlight-i9",
        title="Colorlight i9 with extension board",
        platform_name="opzo.boards.platforms.colorlight:ColorlightI9",
        device=ECP5_45,
        loader=("-b", "colorlight-i9"),
    ),
    _board(
        "tang-nano-9k",
        "Sipeed Tang Nano 9K",
        Family.GOWIN,
        "tang_nano_9k:TangNano9kPlatform",
        GW1N_9,
        clock=27,
        core=27,
        baud=3_000_000,
        bridge="BL702",
        lights=_leds(0),
        loader=("-b", "tangnano9k"),
    ),
    _board(
        "tang-nano-20k",
        "Sipeed Tang Nano 20K",
        Family.GOWIN,
        "opzo.boards.platforms.tang_nano_20k:TangNano20K",
        GW2A_18,
        clock=27,
        core=27,
        baud=3_000_000,
        bridge="BL616",
        lights=_leds(0),
        loader=("-b", "tangnano20k"),
        # The tools know the die, which is that of a GW2A-18C, by that name.
        part_family="GW2A-18C",
    ),
    _board(
        "tang-primer-20k",
        "Sipeed Tang Primer 20K with Dock",
        Family.GOWIN,
        "tang_primer_20k:TangPrimer20kDockPlatform",
        GW2A_18,
        clock=27,
        core=27,
        baud=3_000_000,
        bridge="BL616",
        lights=_leds(0),
        loader=("-b", "tangprimer20k"),
        # amaranth-boards 0.0.21 names GW2A-18C; this part rejects bitstreams for it.
        part_family="GW2A-18",
    ),
    _ARTY,
    replace(
        _ARTY,
        name="arty-a7-100",
        title="Digilent Arty A7-100",
        platform_name="arty_a7:ArtyA7_100Platform",
        device=ARTIX_100,
        loader=("-b", "arty_a7_100t"),
    ),
    replace(
        _ARTY,
        name="nexys4ddr",
        title="Digilent Nexys 4 DDR / Nexys A7-100T",
        platform_name="nexys4ddr:Nexys4DDRPlatform",
        device=ARTIX_100,
        loader=("-b", "nexys_a7_100"),
    ),
    _board(
        "de10-nano",
        "Terasic DE10-Nano",
        Family.INTEL,
        "de10_nano:DE10NanoPlatform",
        CYCLONE_110,
        clock=50,
        core=50,
        baud=3_000_000,
        bridge="",
        lights=_leds(0),
        loader=("-b", "de10nano"),
    ),
)
"""All boards, by family."""


def find_board(name: str) -> Board:
    """Board called ``name``; ChoiceError with the list of names if there is none."""
    for board in BOARDS:
        if board.name == name:
            return board
    raise no_such("board", name, (board.name for board in BOARDS))
