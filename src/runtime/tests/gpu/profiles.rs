//! TF-TRT's `TrtShapeOptimizationProfileTest` on engines with several profiles.

use tfjet_runtime::{Placement, Session, SessionError, SessionOptions};
use tfjet_tensorrt::Flavor;

use crate::{assert_equal, engine_op_engine, engines_only, open, ramp};

/// The shapes that were collected.
const COLLECTED: [usize; 3] = [2, 3, 16];

#[test]
fn an_engine_serves_the_shapes_of_its_profiles_and_names_them_for_others() {
    let Some((gpu, _alone)) = open(&engines_only(Some(Placement::Discrete))) else {
        return;
    };
    let version = gpu.library().version();
    let one_context_a_profile = version.flavor == Flavor::TensorRt && version.major < 10;
    let optimal = COLLECTED.map(|rows| [rows; 3]);
    let range = [2, 16, 16];
    let both = [optimal[0], optimal[1], optimal[2], range];
    for (profiles, serves_unseen, keeps_graphs, built_for) in [
        (
            &[range][..],
            true,
            !one_context_a_profile,
            "input:0 2x40 to 16x40",
        ),
        (
            &optimal,
            false,
            true,
            "input:0 2x40; or input:0 3x40; or input:0 16x40",
        ),
        (&both, true, true, "input:0 16x40; or input:0 2x40 to 16x40"),
    ] {
        let built = engine_op_engine("n", true);
        let engines = built.engines_for(&gpu, profiles);
        let options = SessionOptions::default();
        let session = Session::load_gpu(built.model.bundle(), &gpu, &engines, &options);
        let (mut session, mut host) = (session.unwrap(), built.on_host());
        for rows in COLLECTED {
            eprintln!("{} profiles, {rows} rows", profiles.len());
            assert_equal(&mut session, &mut host, &[rows; 3]);
        }
        for rows in COLLECTED {
            assert_equal(&mut session, &mut host, &[rows]);
            let graphs = session.gpu_stats().unwrap().graphs;
            assert_eq!(
                graphs,
                if keeps_graphs { 2 } else { 0 },
                "{profiles:?} {rows}"
            );
        }
        for rows in [5, 9] {
            if serves_unseen {
                assert_equal(&mut session, &mut host, &[rows; 3]);
                continue;
            }
            refused(&mut session, rows, built_for);
        }
        refused(&mut session, 17, built_for);
        refused(&mut session, 1, built_for);
        assert_equal(&mut session, &mut host, &[16, 2, 3, 3, 2, 16]);
    }
}

#[track_caller]
fn refused(session: &mut Session, rows: usize, built_for: &str) {
    let error = session.run(&[ramp(rows, 0).view()]).unwrap_err();
    assert!(
        matches!(
            error,
            SessionError::Engine {
                step: 0,
                segment: 0,
                ..
            }
        ),
        "{error}"
    );
    let text = error.to_string();
    let given = format!("{built_for}, given input:0 {rows}x40");
    assert!(text.contains(&given), "{text}");
}
