"""Which function reads a part of a configuration of each type."""

from collections.abc import Callable

from torch import nn

from ...deploy.contract.suppression import Suppress
from ..backbones import (
    alexnet,
    convnext,
    cpm,
    csp,
    darknet,
    detectors,
    efficientnet,
    hourglass,
    hrnet,
    litehrnet,
    mobilenetv2,
    mspn,
    pvt,
    regnet,
    res2net,
    resnest,
    resnet,
    rsn,
    scnet,
    senet,
    shufflenet,
    shufflenetv2,
    swin,
    vgg,
    vipnas,
)
from ..heads import (
    associative,
    atss,
    autoassign,
    center,
    centripetal,
    cid,
    corner,
    ddod,
    dekr,
    fcos,
    foveabox,
    fsaf,
    gfl,
    guided,
    guided_rpn,
    heatmap,
    integral,
    regression,
    reppoints,
    retina,
    rpn,
    rtmcc,
    rtmdet,
    sabl,
    simcc,
    ssd,
    tood,
    vfnet,
    yolo,
    yolof,
    yolox,
)
from ..heads import mspn as mspn_head
from ..necks import deconv, dilated, feature_maps, fpn, hrfpn, libra, nas_fpn, pan, rfp
from ..necks import ssd as ssd_neck
from ..necks import yolo as yolo_neck
from . import regions
from .parts import Head, Neck, Trunk
from .section import Section

BACKBONES: dict[str, Callable[[Section], Trunk]] = {
    **dict.fromkeys(("ResNet", "ResNetV1c", "ResNetV1d", "ResNeXt"), resnet.from_config),
    "ResNeSt": resnest.from_config,
    "HRNet": hrnet.from_config,
    **dict.fromkeys(("CSPNeXt", "CSPDarknet"), csp.from_config),
    "Darknet": darknet.from_config,
    "DetectoRS_ResNet": detectors.from_config,
    "EfficientNet": efficientnet.from_config,
    "HourglassNet": hourglass.from_config,
    "MobileNetV2": mobilenetv2.from_config,
    **dict.fromkeys(("PyramidVisionTransformer", "PyramidVisionTransformerV2"), pvt.from_config),
    "RegNet": regnet.from_config,
    "Res2Net": res2net.from_config,
    "SSDVGG": vgg.from_config,
    "SwinTransformer": swin.from_config,
    **dict.fromkeys(("mmpretrain.ConvNeXt", "mmcls.ConvNeXt"), convnext.from_config),
    "MSPN": mspn.from_config,
    "RSN": rsn.from_config,
    "SEResNet": senet.from_config,
    "SCNet": scnet.from_config,
    "LiteHRNet": litehrnet.from_config,
    "CPM": cpm.from_config,
    "ViPNAS_ResNet": vipnas.resnet_from_config,
    "ViPNAS_MobileNetV3": vipnas.mobilenet_from_config,
    "AlexNet": alexnet.from_config,
    "VGG": vgg.plain_from_config,
    "ShuffleNetV1": shufflenet.from_config,
    "ShuffleNetV2": shufflenetv2.from_config,
}
NECKS: dict[str, Callable[[Section, Trunk], Neck]] = {
    **dict.fromkeys(("FPN", "PAFPN"), fpn.from_config),
    "HRFPN": hrfpn.from_config,
    "RFP": rfp.from_config,
    "NASFPN": nas_fpn.from_config,
    "DilatedEncoder": dilated.from_config,
    "SSDNeck": ssd_neck.from_config,
    "YOLOV3Neck": yolo_neck.from_config,
    **dict.fromkeys(("YOLOXPAFPN", "CSPNeXtPAFPN"), pan.from_config),
}
SECOND_NECKS: dict[str, Callable[[Section, Neck], Neck]] = {"BFP": libra.from_config}
"""Those that follow another neck."""
RPN_HEADS: dict[str, Callable[[Section, Neck, Section], Callable[[], nn.Module]]] = {
    "RPNHead": rpn.from_config,
    "GARPNHead": guided_rpn.from_config,
}
ROI_HEADS: dict[str, Callable[[Section, Neck, Suppress], Head]] = {
    **dict.fromkeys(("StandardRoIHead", "MaskScoringRoIHead"), regions.standard),
    "CascadeRoIHead": regions.cascade,
    "HybridTaskCascadeRoIHead": regions.hybrid,
    "DoubleHeadRoIHead": regions.double,
    "GridRoIHead": regions.grid,
    "MultiInstanceRoIHead": regions.multi_instance,
}
HEATMAP_NECKS: dict[str, Callable[[Section, Trunk], Neck]] = {"CTResNetNeck": deconv.from_config}
HEATMAP_HEADS: dict[str, Callable[[Section, Neck], Head]] = {
    "CenterNetHead": center.from_config,
    "CornerHead": corner.from_config,
    "CentripetalHead": centripetal.from_config,
}
DENSE_HEADS: dict[str, Callable[[Section, Neck], Head]] = {
    **dict.fromkeys(("GFLHead", "LDHead"), gfl.from_config),
    **dict.fromkeys(("RetinaHead", "FreeAnchorRetinaHead", "PISARetinaHead", "RetinaSepBNHead"), retina.from_config),
    "FCOSHead": fcos.from_config,
    **dict.fromkeys(("ATSSHead", "PAAHead", "LADHead"), atss.from_config),
    "VFNetHead": vfnet.from_config,
    "AutoAssignHead": autoassign.from_config,
    "DDODHead": ddod.from_config,
    "FoveaHead": foveabox.from_config,
    "FSAFHead": fsaf.from_config,
    "GARetinaHead": guided.from_config,
    "RepPointsHead": reppoints.from_config,
    "RTMDetSepBNHead": rtmdet.from_config,
    "SABLRetinaHead": sabl.from_config,
    **dict.fromkeys(("SSDHead", "PISASSDHead"), ssd.from_config),
    "TOODHead": tood.from_config,
    "YOLOFHead": yolof.from_config,
    "YOLOV3Head": yolo.from_config,
    "YOLOXHead": yolox.from_config,
}
POSE_NECKS: dict[str, Callable[[Section, Trunk], Trunk]] = {
    "FeatureMapProcessor": feature_maps.from_config,
    "GlobalAveragePooling": feature_maps.pooled_from_config,
}
POSE_HEADS: dict[str, Callable[[Section, Trunk], Head]] = {
    **dict.fromkeys(("HeatmapHead", "ViPNASHead"), heatmap.from_config),
    "CPMHead": heatmap.stages_from_config,
    **dict.fromkeys(("IntegralRegressionHead", "DSNTHead"), integral.from_config),
    **dict.fromkeys(("RegressionHead", "RLEHead"), regression.from_config),
    "MSPNHead": mspn_head.from_config,
    "RTMCCHead": rtmcc.from_config,
    "SimCCHead": simcc.from_config,
}
BOTTOM_UP_HEADS: dict[str, Callable[[Section, Trunk], Head]] = {
    "AssociativeEmbeddingHead": associative.from_config,
    "AEHigherResolutionHead": associative.higher_from_config,
    "CIDHead": cid.from_config,
    "DEKRHead": dekr.from_config,
}
