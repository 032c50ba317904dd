//! The report as one HTML file: no scripts, nothing from elsewhere.

use std::fmt::Write as _;

use super::{Accuracy, LayerReport, OutputReport, db_text, plot};

const STYLE: &str = include_str!("page.css");

/// Layers that the page shows before the rest.
const WORST: usize = 15;

/// Text that means itself in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// The page.
pub(crate) fn page(accuracy: &Accuracy) -> String {
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Accuracy of {0}</title>\n<style>\n{STYLE}</style></head><body><main>\n\
         <h1>Accuracy of {0}</h1>\n",
        escape(&accuracy.model)
    );
    facts(accuracy, &mut html);
    tiles(accuracy, &mut html);
    for warning in &accuracy.warnings {
        let _ = writeln!(html, "<p class=\"warning\">{}</p>", escape(warning));
    }
    answers(accuracy, &mut html);
    outputs(&accuracy.outputs, &mut html);
    layers(accuracy, &mut html);
    sensitivity(accuracy, &mut html);
    histograms(&accuracy.layers, &mut html);
    html.push_str("</main></body></html>\n");
    html
}

fn facts(accuracy: &Accuracy, html: &mut String) {
    html.push_str("<dl>");
    for (name, text) in [
        (
            "bundle",
            format!("{} ({})", accuracy.bundle, accuracy.target),
        ),
        ("numbers", accuracy.numbers.clone()),
        ("ran on", accuracy.device.clone()),
        ("compared with", accuracy.reference.clone()),
        ("samples", accuracy.samples_text()),
    ] {
        let _ = write!(html, "<dt>{name}</dt><dd>{}</dd>", escape(&text));
    }
    html.push_str("</dl>\n");
}

fn tiles(accuracy: &Accuracy, html: &mut String) {
    let mut tiles: Vec<(String, String, String)> = Vec::new();
    let mut add = |name: &str, value: String, more: String| {
        tiles.push((name.into(), value, more));
    };
    if let Some(classes) = &accuracy.classes {
        if let Some(truth) = &classes.truth {
            add(
                "top-1",
                format!("{:.2} %", truth.top1),
                format!(
                    "FP32 {:.2} %, {} labelled",
                    truth.reference_top1, truth.rows
                ),
            );
            add(
                "top-5",
                format!("{:.2} %", truth.top5),
                format!("FP32 {:.2} %", truth.reference_top5),
            );
        }
        add(
            "same top-1 class as FP32",
            format!("{:.2} %", classes.agreement_percent),
            format!("{} of {}", classes.agree, classes.rows),
        );
    }
    if let Some(found) = &accuracy.detections {
        add(
            "FP32's detections kept",
            format!("{:.2} %", found.kept_percent),
            format!(
                "{} of {}, {} new",
                found.matched, found.reference, found.extra
            ),
        );
    }
    if let Some(worst) = accuracy
        .outputs
        .iter()
        .min_by(|a, b| order(a).cmp(&order(b)))
    {
        add(
            "SQNR of the output",
            db_text(worst.sqnr_db),
            worst.name.clone(),
        );
    }
    if let Some(worst) = accuracy.layers.first() {
        let name = worst.layer.as_deref().unwrap_or(&worst.tensor);
        add(
            "SQNR of the worst layer",
            db_text(worst.sqnr_db),
            name.into(),
        );
    }
    html.push_str("<div class=\"tiles\">");
    for (name, value, more) in tiles {
        let _ = write!(
            html,
            "<div><span>{}</span><strong>{}</strong><small>{}</small></div>",
            escape(&name),
            escape(&value),
            escape(&more)
        );
    }
    html.push_str("</div>\n");
    for limit in &accuracy.limits {
        let _ = writeln!(
            html,
            "<p class=\"{}\">{} {}: {:.2} %</p>",
            if limit.good { "good" } else { "warning" },
            escape(limit.name),
            limit.limit_percent,
            limit.found_percent
        );
    }
}

fn order(output: &OutputReport) -> super::Db {
    super::Db(output.sqnr_db)
}

fn answers(accuracy: &Accuracy, html: &mut String) {
    if let Some(classes) = &accuracy.classes {
        html.push_str(
            "<h2>Classes</h2>\n<p>Top-k recall: how many of the bundle's best classes it takes to \
             have all of FP32's k best.</p>\n<table><tr><th>k</th><th>mean</th><th>most</th>\
             <th>the same k</th></tr>",
        );
        for recall in &classes.recall {
            let _ = write!(
                html,
                "<tr><td>{}</td><td>{:.2}</td><td>{}</td><td>{:.2} %</td></tr>",
                recall.k, recall.mean_needed, recall.max_needed, recall.exact_percent
            );
        }
        html.push_str("</table>\n");
        if !classes.changed.is_empty() {
            let _ = write!(
                html,
                "<details><summary>{} with another top-1 class</summary><table><tr><th class=\"name\">sample</th>\
                 <th>FP32</th><th>bundle</th><th>true</th></tr>",
                classes.rows - classes.agree
            );
            for changed in &classes.changed {
                let truth = changed.truth.map_or("".into(), |truth| truth.to_string());
                let _ = write!(
                    html,
                    "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td><td>{truth}</td></tr>",
                    escape(&changed.sample),
                    changed.reference,
                    changed.ours
                );
            }
            html.push_str("</table></details>\n");
        }
    }
    if let Some(found) = &accuracy.detections {
        let _ = writeln!(
            html,
            "<h2>Detections</h2>\n<p>Score at least {}, the same where class and place agree \
             (intersection over union at least {}). FP32 has {}, the bundle {}; {} are the same, \
             with a mean overlap of {:.3} and scores that differ by at most {:.3}. Of those lost, \
             {} lie up to 0.1 below the score.</p>",
            found.matching.score,
            found.matching.iou,
            found.reference,
            found.ours,
            found.matched,
            found.mean_iou,
            found.max_score_difference,
            found.just_below
        );
        if !found.lost.is_empty() {
            let _ = write!(
                html,
                "<details><summary>{} images with lost detections</summary><table><tr>\
                 <th class=\"name\">sample</th><th>lost</th></tr>",
                found.lost_images
            );
            for lost in &found.lost {
                let _ = write!(
                    html,
                    "<tr><td class=\"name\">{}</td><td>{}</td></tr>",
                    escape(&lost.sample),
                    lost.lost
                );
            }
            html.push_str("</table></details>\n");
        }
    }
}

fn outputs(outputs: &[OutputReport], html: &mut String) {
    html.push_str(
        "<h2>Outputs</h2>\n<p>Difference of an element, the bundle's less FP32's.</p>\n<table><tr>\
         <th class=\"name\">output</th><th>SQNR</th><th>min</th><th>max</th><th>mean</th><th>mean size</th>\
         <th>not finite</th><th>samples of other shapes</th></tr>",
    );
    for output in outputs {
        let _ = write!(
            html,
            "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td></tr>",
            escape(&output.name),
            db_text(output.sqnr_db),
            plot::number(output.min),
            plot::number(output.max),
            plot::number(output.mean),
            plot::number(output.mean_abs),
            output.not_finite,
            output.other_shapes
        );
    }
    html.push_str("</table>\n");
    for output in outputs
        .iter()
        .filter(|it| it.by_element.len() > 1 && it.worst.is_some())
    {
        let _ = writeln!(
            html,
            "<figure>{}<figcaption>{}: lowest, mean and highest difference of each of {} elements \
             over the samples</figcaption></figure>",
            plot::elements(&output.by_element),
            escape(&output.name),
            output.by_element.len()
        );
    }
}

fn layers(accuracy: &Accuracy, html: &mut String) {
    if accuracy.layers.is_empty() {
        return;
    }
    let _ = writeln!(
        html,
        "<h2>Layers</h2>\n<p>Signal to quantization noise of what each layer gives, against the same \
         network in FP32, over {} samples. Layers up to the last ones with weights; what comes before a layer adds to its \
         noise.</p>\n\
         <figure>{}<figcaption><i class=\"int8\"></i> int8 <i class=\"fp16\"></i> fp16 \
         <i class=\"fp32\"></i> fp32; {} dB and more, and equal tensors, at the top</figcaption>\
         </figure>",
        accuracy.layer_samples,
        plot::ratios(&accuracy.layers),
        plot::TOP_DB
    );
    let (worst, rest) = accuracy.layers.split_at(WORST.min(accuracy.layers.len()));
    layer_table(worst, html);
    if !rest.is_empty() {
        let _ = write!(html, "<details><summary>{} more</summary>", rest.len());
        layer_table(rest, html);
        html.push_str("</details>\n");
    }
}

fn layer_table(layers: &[LayerReport], html: &mut String) {
    html.push_str(
        "<table><tr><th>SQNR</th><th class=\"name\">layer</th><th>kind</th><th>in</th><th>largest</th>\
         <th>range</th><th>clipped</th></tr>",
    );
    for layer in layers {
        let optional = |value: Option<f64>| value.map_or_else(String::new, plot::number);
        let _ = write!(
            html,
            "<tr><td>{}{}</td><td class=\"name\">{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td><td>{}</td></tr>",
            db_text(layer.sqnr_db),
            match layer.not_finite {
                0 => String::new(),
                count => format!(", {count} not finite or missing"),
            },
            escape(layer.layer.as_deref().unwrap_or(&layer.tensor)),
            escape(&layer.kind),
            layer.precision,
            optional(layer.largest.map(f64::from)),
            optional(layer.range.map(f64::from)),
            layer
                .clipped_percent
                .map_or_else(String::new, |percent| format!("{percent:.3} %"))
        );
    }
    html.push_str("</table>\n");
}

fn sensitivity(accuracy: &Accuracy, html: &mut String) {
    if accuracy.sensitivity.is_empty() {
        return;
    }
    html.push_str(
        "<h2>Sensitivity</h2>\n<p>What INT8 in one layer alone costs, all others in FP32: signal to \
         quantization noise where the last layers with weights end, and answers that change.</p>\n\
         <table><tr><th>SQNR</th><th class=\"name\">layer</th><th>kind</th><th>changed</th></tr>",
    );
    for ranked in &accuracy.sensitivity {
        let _ = write!(
            html,
            "<tr><td>{}</td><td class=\"name\">{}</td><td>{}</td><td>{}</td></tr>",
            db_text(ranked.sqnr_db),
            escape(&ranked.layer),
            escape(&ranked.kind),
            ranked.changed
        );
    }
    html.push_str("</table>\n");
}

fn histograms(layers: &[LayerReport], html: &mut String) {
    let mut shown: Vec<&LayerReport> = layers.iter().filter(|it| it.histogram.is_some()).collect();
    if shown.is_empty() {
        return;
    }
    shown.sort_by_key(|layer| layer.order);
    html.push_str(
        "<h2>Ranges</h2>\n<p>Magnitudes of the tensors that INT8 layers read, in FP32; counts on a \
         logarithmic scale. What lies right of the line is clipped.</p>\n<div class=\"grid\">",
    );
    for layer in shown {
        let Some(histogram) = &layer.histogram else {
            continue;
        };
        let _ = write!(
            html,
            "<figure>{}<figcaption>{}<br>{:.3} % clipped</figcaption></figure>",
            plot::histogram(histogram, layer.range),
            escape(&layer.tensor),
            layer.clipped_percent.unwrap_or(0.0)
        );
    }
    html.push_str("</div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accuracy::{Classes, OutputDifference};

    fn accuracy() -> Accuracy {
        let mut difference = OutputDifference::default();
        difference.add((&[1.0, 2.0], &[2]), (&[1.0, 2.5], &[2]));
        let mut classes = Classes::default();
        classes.add("<a>.png", &[0.1, 0.9], &[0.6, 0.4], Some(1));
        let mut histogram = tfjet::convert::calibrate::Histogram::new();
        histogram.add(&[1.0, 2.0, 3.0]);
        Accuracy {
            model: "a & <b>".into(),
            bundle: "b.jet".into(),
            target: "x86-cpu".into(),
            numbers: "int8".into(),
            device: "CPU".into(),
            reference: "FP32".into(),
            source: "images".into(),
            samples: 1,
            unreadable: Vec::new(),
            good: true,
            limits: Vec::new(),
            classes: classes.report("y"),
            detections: None,
            outputs: vec![difference.report("y")],
            layers: vec![LayerReport {
                segment: "s".into(),
                layer: Some("conv".into()),
                kind: "Convolution".into(),
                tensor: "conv:0".into(),
                precision: "int8".into(),
                sqnr_db: Some(20.0),
                not_finite: 0,
                largest: Some(3.0),
                range: Some(2.5),
                clipped_percent: Some(33.3),
                order: 0,
                histogram: Some(histogram),
            }],
            layer_samples: 1,
            sensitivity: Vec::new(),
            warnings: vec!["few".into()],
        }
    }

    #[test]
    fn the_page_is_whole_and_takes_nothing_from_elsewhere() {
        let html = page(&accuracy());
        assert!(html.starts_with("<!DOCTYPE html>") && html.ends_with("</html>\n"));
        for foreign in [
            "<script", "http:", "https:", "<link", "<img", "<iframe", "@import",
        ] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        for there in [
            "Accuracy of a &amp; &lt;b&gt;",
            "&lt;a&gt;.png",
            "20.0 dB",
            "class=\"range\"",
        ] {
            assert!(html.contains(there), "{there}");
        }
        assert!(html.contains("prefers-color-scheme: dark"));
        for tag in ["table", "figure", "details", "svg", "div", "dl"] {
            let open = html.matches(&format!("<{tag}")).count();
            assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }
}
