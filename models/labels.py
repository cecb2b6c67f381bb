"""Label sets that published checkpoints use, in their order."""

COCO = tuple(
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,stop sign,"
    "parking meter,bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,backpack,umbrella,handbag,tie,"
    "suitcase,frisbee,skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,"
    "tennis racket,bottle,wine glass,cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,"
    "hot dog,pizza,donut,cake,chair,couch,potted plant,bed,dining table,toilet,tv,laptop,mouse,remote,keyboard,"
    "cell phone,microwave,oven,toaster,sink,refrigerator,book,clock,vase,scissors,teddy bear,hair drier,"
    "toothbrush".split(",")
)

_MISSING = (0, 12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
COCO_IDS = tuple("" if i in _MISSING else COCO[i - sum(m <= i for m in _MISSING)] for i in range(91))
"""COCO's labels at COCO's category ids, with empty ones for the background at 0 and for unused ids."""

LABEL_SETS = {"coco": COCO, "coco91": COCO_IDS}
"""The label sets that have a name for users."""

VOC = tuple(
    "aeroplane,bicycle,bird,boat,bottle,bus,car,cat,chair,cow,diningtable,dog,horse,motorbike,person,pottedplant,"
    "sheep,sofa,train,tvmonitor".split(",")
)

MARKERS = ("qr_code", "barcode", "aruco", "chessboard")
"""The classes of the bundled model."""
