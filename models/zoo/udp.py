"""UDP ("The Devil is in the Details: Delving into Unbiased Data Processing for Human Pose Estimation",
arXiv 1911.07524)."""

from dataclasses import replace

from ...deploy.forms import Heatmaps, Offsets
from ..heads.heatmap import OffsetHead
from ..pose import CROP, LARGE_CROP, TEST_CROP, mmpose
from ..variant import Published, Variant, spelled
from . import hrnet

_FOLDER = "v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet"
_UDP = replace(hrnet.HRNET, paper="arXiv 1911.07524", form=Heatmaps("udp"), input=CROP.placed(spacing=True))
_LARGE = LARGE_CROP.placed(spacing=True)
_REGRESS = _UDP.derive(
    "hrnet_w32_udp_regress",
    "unbiased data processing (UDP) with offsets: HRNet-W32",
    mmpose(f"{_FOLDER}-w32_udp-regress-8xb64-210e_coco-256x192-9c0b77b4_20220926", 75.9),
    build={"head": OffsetHead},
    form=Offsets(radius=3.5),  # 0.0546875 of a map's longer side, in the reference's words
)


def _openmmlab(on: str, width: int, file: str, ap: float) -> Variant:
    network, _, size = on.partition("_")
    return _UDP.derive(
        f"hrnet_{network}_udp" + (f"_{size}" if size else ""),
        f"unbiased data processing (UDP): {spelled(on)}",
        mmpose(f"{_FOLDER}-{file}", ap),
        build={"width": width},
        input=_LARGE if size else _UDP.input,
    )


VARIANTS = (
    _openmmlab("w32", 32, "w32_udp-8xb64-210e_coco-256x192-73ede547_20220914", 76.2),
    _openmmlab("w32_384", 32, "w32_udp-8xb64-210e_coco-384x288-9a3f7c85_20220914", 76.8),
    _openmmlab("w48", 48, "w48_udp-8xb32-210e_coco-256x192-3feaef8f_20220913", 76.8),
    _openmmlab("w48_384", 48, "w48_udp-8xb32-210e_coco-384x288-70d7ab01_20220913", 77.3),
    _REGRESS,
    replace(
        _REGRESS,
        name="hrnet_w32_udp_authors",
        summary="UDP with offsets by its authors: HRNet-W32",
        published=Published(None, 77.2),
        form=Offsets(radius=3.5, blur=15, offset_blur=7),
    ),
    _REGRESS.derive(
        "udp_test",
        "tiny HRNet with UDP's offsets for tests",
        build=hrnet.TINY,
        form=Offsets(radius=1.3),
        input=TEST_CROP.placed(spacing=True),
    ),
)
ALIASES = {
    "udp": "hrnet_w32_udp",
    "td_hrnet_w32_udp": "hrnet_w32_udp",
    "td_hrnet_w32_udp_regress": "hrnet_w32_udp_regress",
}
