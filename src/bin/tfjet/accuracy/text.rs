//! The report for a terminal.

use std::fmt::Write as _;

use super::{Accuracy, OutputReport, db_text, plot::number};

/// Most layers that the text names.
const WORST: usize = 10;

/// The report for a terminal.
pub(crate) fn text(accuracy: &Accuracy) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "bundle     {} ({})", accuracy.bundle, accuracy.target);
    let _ = writeln!(text, "numbers    {}", accuracy.numbers);
    let _ = writeln!(text, "ran on     {}", accuracy.device);
    let _ = writeln!(text, "against    {}", accuracy.reference);
    let _ = writeln!(text, "samples    {}", accuracy.samples_text());
    answers(accuracy, &mut text);
    outputs(&accuracy.outputs, &mut text);
    layers(accuracy, &mut text);
    for limit in &accuracy.limits {
        let _ = writeln!(
            text,
            "{}    {} {} %: {:.2} %",
            if limit.good { "within " } else { "BEYOND " },
            limit.name,
            limit.limit_percent,
            limit.found_percent
        );
    }
    text
}

fn answers(accuracy: &Accuracy, text: &mut String) {
    if let Some(classes) = &accuracy.classes {
        if let Some(truth) = &classes.truth {
            for (name, expected, found) in [
                ("top-1", truth.reference_top1, truth.top1),
                ("top-5", truth.reference_top5, truth.top5),
            ] {
                let _ = writeln!(
                    text,
                    "{name:<10} {found:.2} %, FP32 {expected:.2} %, of {} labelled: {:+.2} points",
                    truth.rows,
                    found - expected
                );
            }
        }
        let _ = writeln!(
            text,
            "agreement  {:.2} %: {} of {} have FP32's top-1 class",
            classes.agreement_percent, classes.agree, classes.rows
        );
        for recall in &classes.recall {
            let _ = writeln!(
                text,
                "recall     top-{}: {:.2} of the bundle's classes cover FP32's, at most {}",
                recall.k, recall.mean_needed, recall.max_needed
            );
        }
    }
    if let Some(found) = &accuracy.detections {
        let _ = writeln!(
            text,
            "detections {:.2} %: {} of FP32's {} at score {} and IoU {}; {} lost ones up to 0.1 below \
             the score, {} new",
            found.kept_percent,
            found.matched,
            found.reference,
            found.matching.score,
            found.matching.iou,
            found.just_below,
            found.extra
        );
    }
}

fn outputs(outputs: &[OutputReport], text: &mut String) {
    for output in outputs {
        let _ = write!(
            text,
            "output     {}: {}, difference {} to {}, mean {}",
            output.name,
            db_text(output.sqnr_db),
            number(output.min),
            number(output.max),
            number(output.mean)
        );
        if output.not_finite > 0 {
            let _ = write!(
                text,
                ", {} elements not finite on one side",
                output.not_finite
            );
        }
        if output.other_shapes > 0 {
            let _ = write!(text, ", {} samples of other shapes", output.other_shapes);
        }
        text.push('\n');
    }
}

fn layers(accuracy: &Accuracy, text: &mut String) {
    if !accuracy.layers.is_empty() {
        let _ = writeln!(
            text,
            "layers     the worst of {}, on {} samples",
            accuracy.layers.len(),
            accuracy.layer_samples
        );
    }
    for layer in accuracy.layers.iter().take(WORST) {
        let _ = write!(
            text,
            "  {:>8} {} {} ({})",
            db_text(layer.sqnr_db),
            layer.precision,
            layer.layer.as_deref().unwrap_or(&layer.tensor),
            layer.kind
        );
        let _ = match layer.not_finite {
            0 => writeln!(text),
            count => writeln!(text, ", {count} values not finite or missing"),
        };
    }
    if !accuracy.sensitivity.is_empty() {
        text.push_str("alone      what INT8 in one layer alone costs\n");
    }
    for ranked in accuracy.sensitivity.iter().take(WORST) {
        let _ = writeln!(
            text,
            "  {:>8} {} changed: {} ({})",
            db_text(ranked.sqnr_db),
            ranked.changed,
            ranked.layer,
            ranked.kind
        );
    }
}
