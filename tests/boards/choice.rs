//! Which target of a bundle a machine takes.

use tfjet::board::{Board, BoardError, GpuFound, choose};
use tfjet::core::{EngineKind, Release};
use tfjet::exit;

use super::common::{Graph, convert, folder};
use super::open;

fn board(name: &str) -> Board {
    Board {
        name: Some(name.into()),
        model: Some(format!("the board {name}")),
        ..Board::default()
    }
}

fn gpu(release: (u32, u32, u32), compute_capability: (u32, u32)) -> Option<GpuFound> {
    let (major, minor, patch) = release;
    Some(GpuFound {
        engine: EngineKind::TensorRt,
        release: Release::new(major, minor, patch),
        compute_capability: Some(compute_capability),
    })
}

const TRT_8_2: (u32, u32, u32) = (8, 2, 1);
const TRT_8_5: (u32, u32, u32) = (8, 5, 2);
const TRT_10: (u32, u32, u32) = (10, 3, 0);

#[test]
fn the_target_is_chosen_by_board_gpu_and_library() {
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let bundle = |targets: &str| {
        let path = folder.path().join(format!("{targets}.jet"));
        convert(&model, &path, &format!("--target {targets}"));
        open(&path)
    };
    let boards = bundle("nano,xavier-nx,agx-orin,x86-cpu");
    let general = bundle("nano,x86-gpu");
    let capability = |name| match name {
        "nano" => (5, 3),
        "xavier-nx" => (7, 2),
        _ => (8, 7),
    };
    let none = Board::default();
    for (bundle, board, gpu, expected, why) in [
        (
            &boards,
            board("nano"),
            gpu(TRT_8_2, (5, 3)),
            "nano",
            "this board is the board nano",
        ),
        (
            &boards,
            board("xavier-nx"),
            gpu(TRT_8_5, (7, 2)),
            "xavier-nx",
            "this board is the board xavier-nx",
        ),
        (
            &boards,
            board("agx-orin"),
            gpu(TRT_10, (8, 7)),
            "agx-orin",
            "this board is the board agx-orin",
        ),
        // Another board of the same GPU.
        (
            &boards,
            board("agx-xavier"),
            gpu(TRT_8_5, (7, 2)),
            "xavier-nx",
            "it is for this GPU's compute capability 7.2",
        ),
        (
            &boards,
            none.clone(),
            gpu(TRT_10, (5, 3)),
            "nano",
            "it is for this GPU's compute capability 5.3",
        ),
        // A board whose TensorRT is older than its target's.
        (
            &boards,
            board("xavier-nx"),
            gpu(TRT_8_2, (7, 2)),
            "nano",
            "it is for TensorRT 8.2.1, and no target is for this GPU's compute capability 7.2; \
             xavier-nx needs TensorRT 8.5.2 (JetPack 5.1.6), this board has 8.2.1",
        ),
        // No target for the GPU: the newest that its library can build.
        (
            &boards,
            none.clone(),
            gpu(TRT_8_5, (9, 0)),
            "xavier-nx",
            "it is for TensorRT 8.5.2, and no target is for this GPU's compute capability 9.0",
        ),
        (
            &general,
            none.clone(),
            gpu(TRT_8_5, (9, 0)),
            "x86-gpu",
            "it is for any GPU with TensorRT 8.5.2 or later",
        ),
        // Without a GPU.
        (&boards, none.clone(), None, "x86-cpu", "it is for the CPU"),
        (&boards, board("nano"), None, "x86-cpu", "it is for the CPU"),
        (
            &general,
            board("nano"),
            None,
            "nano",
            "no target is for the CPU, and this board is the board nano",
        ),
        (
            &general,
            none.clone(),
            None,
            "nano",
            "no target is for the CPU, and it leaves the fewest ops outside the segments",
        ),
    ] {
        let choice = choose(bundle, None, &board, gpu.as_ref()).unwrap();
        assert_eq!(
            (choice.target.as_str(), choice.why.as_str()),
            (expected, why)
        );
        assert_eq!(choice.to_string(), format!("target {expected}: {why}"));
        assert_eq!(choice.bundle.target(), Some(expected));
        assert_eq!(choice.bundle.manifest().unwrap().target, expected);
    }
    for target in ["nano", "xavier-nx", "agx-orin"] {
        let gpu = gpu(TRT_10, capability(target));
        let choice = choose(&boards, Some(target), &none, gpu.as_ref()).unwrap();
        assert_eq!(
            choice.to_string(),
            format!("target {target}: --target asks for it")
        );
    }
}

#[test]
fn a_machine_that_can_use_no_target_is_told_why() {
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let path = folder.path().join("model.jet");
    convert(&model, &path, "--target xavier-nx,agx-orin,x86-cpu");
    let bundle = open(&path);
    let refused = |wanted, board: &str, gpu: Option<GpuFound>| {
        let board = Board {
            name: Some(board.into()),
            ..Board::default()
        };
        let error = choose(&bundle, wanted, &board, gpu.as_ref()).unwrap_err();
        let text = error.to_string();
        let text = text.replace(&path.display().to_string(), "model.jet");
        (exit::code(&error.into()), text)
    };
    let old = gpu(TRT_8_2, (7, 2));
    assert_eq!(
        refused(None, "xavier-nx", old),
        (
            exit::MISSING,
            "model.jet: no target for this machine (TensorRT 8.2.1, compute capability 7.2): \
             agx-orin needs TensorRT 10.3.0 (JetPack 6.2.2); x86-cpu is for the CPU \
             (--device cpu); xavier-nx needs TensorRT 8.5.2 (JetPack 5.1.6)"
                .into()
        )
    );
    assert_eq!(
        refused(Some("xavier-nx"), "xavier-nx", old),
        (
            exit::MISSING,
            "model.jet: no target for this machine (TensorRT 8.2.1, compute capability 7.2): \
             xavier-nx needs TensorRT 8.5.2 (JetPack 5.1.6)"
                .into()
        )
    );
    let rtx = GpuFound {
        engine: EngineKind::TensorRtRtx,
        release: Release::new(1, 7, 1),
        compute_capability: None,
    };
    let (code, text) = refused(None, "", Some(rtx));
    assert_eq!(code, exit::MISSING);
    assert!(text.contains("xavier-nx is for TensorRT 8.5.2"), "{text}");
    assert_eq!(
        refused(Some("tx2"), "tx2", gpu(TRT_8_2, (6, 2))),
        (
            exit::USAGE,
            "--target tx2: model.jet is not for target `tx2`; it is for agx-orin, x86-cpu, \
             xavier-nx"
                .into()
        )
    );
}

#[test]
fn a_bundle_for_one_target_is_used_as_it_is() {
    let folder = folder();
    let model = Graph::rows_of_three().write(folder.path(), "rows.pbtxt");
    let path = folder.path().join("model.jet");
    convert(&model, &path, "--target xavier-nx");
    let bundle = open(&path);
    for (board, gpu) in [
        (board("nano"), gpu(TRT_8_2, (5, 3))),
        (Board::default(), None),
    ] {
        for wanted in [None, Some("xavier-nx")] {
            let choice = choose(&bundle, wanted, &board, gpu.as_ref()).unwrap();
            assert_eq!(
                (choice.target.as_str(), choice.why.as_str()),
                ("xavier-nx", "")
            );
            assert_eq!(choice.to_string(), "target xavier-nx");
        }
        let other = choose(&bundle, Some("nano"), &board, gpu.as_ref());
        assert!(matches!(other, Err(BoardError::Unknown { .. })));
    }
}
