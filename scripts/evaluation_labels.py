"""ImageNet-1k classes of pictures in packages, for make_evaluation_images.py.

A picture is here if its name, or what its package says of it, is the name or a synonym of one class
and of no other; its class was written down before any model was asked. Left out are pictures whose
name says less than a class does: a "dog", a "penguin", a "squirrel".
"""

CERTAIN = {
    "foolbox": "a picture of ImageNet, its class in the file's name",
    "alibi": "named by synset and class",
    "matplotlib": "TensorFlow's own example of the class military uniform",
    "opencv-doc": "the file's name, one of the class's synonyms",
    "gcompris-qt-data": "a game's picture for children to learn the word in its name",
    "tuxpaint-stamps-default": "the file's name and the text that comes with it",
}
FOOLBOX = """
    00_243 01_559 02_438 03_990 04_949 05_853 06_609 07_609 08_915 09_455 10_541 11_630 12_741
    13_471 14_129 15_99 16_251 17_22 18_317 19_305
"""
ALIBI = """
    n02123045_281_tabby_cat n02123394_283_Persian_cat n02123597_284_Siamese_cat
    n02124075_285_Egyptian_cat
"""
# Paths within the activities, without `.webp`.
GCOMPRIS = {
    "erase/resource/": """
        gorilla=366 nubian_ibex=350 macaque=373 long_nosed_monkey=376 chamaeleon=47 gibbon=368
        toucan=96 cheetah=293 bee=309 meerkats=299 red_panda=387 spoonbills=129
    """,
    "explore_world_animals/resource/animals/": """
        chameleon=47 koala=105 bison=347 dragon=48 jaguar=290 hedgehog=334 panda=388 lemur=383
        polar_bear=296 scarlet_macaw=88
    """,
    "explore_farm_animals/resource/animals/": """
        pig=341
    """,
    "details/resource/image/": """
        EilanDonanCastle_background=483 Neuschwanstein_background=483 Nagoya_background=483
    """,
    "explore_monuments/resource/": """
        india/greatStupa=832 india/mysorePalace=698 france/reimsCathedral=497
        germany/wormsCathedral=497 germany/neuschwansteinCastle=483 germany/schwerinPalace=698
    """,
    "categorization/resource/images/": """
        monuments/arcDeTriomphe=873 renewable/dam1=525 renewable/dam2=525 renewable/dam3=525
        renewable/dam4=525 renewable/dam5=525 tools/hammer3=587 tools/hammer4=587
        tools/hammer5=587 tools/hammer6=587 tools/hammer7=587 tools/screwDriver=784
        tools/screwDriver1=784 others/baseball=429 others/volleyball=890 others/pillow=721
        others/pan=567 others/plate=923 others/bucket=463 others/weighingMachine=778
    """,
}
# Paths within the stamps, without `.png`.
STAMPS = {
    "animals/birds/": """
        drake=97 gander=99 hen=8 rooster=7 ostrich=9 peacock=84 pelican=144 pink_flamingo=130
        rainbow-lorikeet=90 vulture=23 tucan=96 crowned_crane=134
    """,
    "animals/fish/": """
        lionfish=396 lobster=123
    """,
    "animals/insects/": """
        fly=308 grasshopper=311 mantis=315 Brown_slug=114 Woodlouse=126
    """,
    "animals/lizards/": """
        iguana=39
    """,
    "animals/mammals/": """
        apes/chimp=367 apes/gorilla=366 aquatic/orca=148 aquatic/otter=360 aquatic/sea_lion=150
        badger=362 bears/european-bear=294 bovines/bison=347 bovines/ram=348 camel/dromedary=354
        cats/lion=291 cats/lion-2=291 cats/tiger=292 cats/tiger_sumatran=292 dogs/dingo=273
        equines/zebra=340 hippopotamus=344 pig=341 pig_golden=341 pig_golden2=341 wildboar=342
        rodents/beaver=337 rodents/marmot=336
    """,
    "animals/marsupials/": """
        koala=105 wombat=106
    """,
    "food/": """
        fruit/Strawberry2=949 fruit/banana=954 fruit/cherimoya=956 fruit/lemon=951
        fruit/pineapple=953 fruit/sliced_orange=950 vegetables/broccoli=937 vegetables/corn=987
        vegetables/yellowpepper=945
    """,
    "hobbies/": """
        binoculars=447 camera_35mm=759 music/brass/trumpet=513
        music/percussion/drum_tomtom_floor=541 music/string/cello=486 music/string/guitar2=546
        music/string/guitar_classical=402 music/string/guitar_electric=546
        music/string/violin=889 music/wind/bassoon=432
    """,
    "household/": """
        dishes/mug=504 dishes/pitcher_small=725 dishes/teapot=849 garbagecan=412 toilet=861
        tools/hammer=587 tools/paintbrush_large=696 tools/spade=792 tools/toolbox=477
        wheelie_bin=412
    """,
    "medical/": """
        bandage_adhesive=419 stethoscope=823 syringe=845
    """,
    "military/": """
        paratrooper=701 vehicles/f22_raptor=895
    """,
    "plants/mushrooms/": """
        cep=997 cep-1=997 cep-2=997
    """,
    "seasonal/": """
        candle=470
    """,
    "sports/": """
        basketball=430 soccer=805 tennis_ball=852 tennis_racket=752
    """,
    "vehicles/": """
        7spoke256=479 auto/sportscar2=817 auto/truck=717 cycle/pink_tricycle=870
        emergency/firetruck=555 flight/balloon360=417 flight/planes/747=404 garbagetruck=569
        race/indycar=751
    """,
}

# Where along the longer side the subject is, if not in the middle.
SUBJECT_AT = {
    f"/gcompris/src/activities/{path}.webp": at
    for path, at in {
        "categorization/resource/images/tools/hammer4": 1.0,
        "categorization/resource/images/tools/hammer5": 0.0,
        "categorization/resource/images/tools/hammer6": 0.0,
        "categorization/resource/images/tools/hammer7": 0.0,
        "erase/resource/bee": 0.1,
        "erase/resource/cheetah": 0.9,
        "erase/resource/macaque": 0.9,
        "erase/resource/spoonbills": 0.3,
        "erase/resource/toucan": 0.0,
    }.items()
}


def _table():
    table = {("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg"): 652}
    table["opencv-doc", "usr/share/doc/opencv-doc/examples/data/baboon.jpg"] = 372
    table["opencv-doc", "usr/share/doc/opencv-doc/examples/data/orange.jpg"] = 950
    for name in FOOLBOX.split():
        table["foolbox", f"foolbox/data/imagenet_{name}.jpg"] = int(name.split("_")[1])
    for name in ALIBI.split():
        table["alibi", f"alibi/data/cats.tar.gz/{name}.jpg"] = int(name.split("_")[1])
    for package, start, end, folders in (
        ("gcompris-qt-data", "/gcompris/src/activities/", ".webp", GCOMPRIS),
        ("tuxpaint-stamps-default", "usr/share/tuxpaint/stamps/", ".png", STAMPS),
    ):
        for folder, names in folders.items():
            for name in names.split():
                path, label = name.split("=")
                table[package, f"{start}{folder}{path}{end}"] = int(label)
    return table


# (package, path in it) -> class
LABELLED = _table()
