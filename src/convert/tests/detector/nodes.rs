use super::*;

/// Nodes, each named after its number.
pub(crate) struct Nodes(pub(crate) Vec<SourceNode>);

impl Nodes {
    pub(super) fn add(&mut self, op: &str, inputs: &[&str], attrs: Attrs) -> String {
        let name = format!("n{}", self.0.len());
        self.named(&name, op, inputs, attrs)
    }

    pub(super) fn named(&mut self, name: &str, op: &str, inputs: &[&str], attrs: Attrs) -> String {
        self.0.push(SourceNode {
            name: name.into(),
            op: op.into(),
            device: String::new(),
            inputs: inputs.iter().map(|&input| input.into()).collect(),
            attrs,
        });
        name.into()
    }

    pub(super) fn of(&mut self, op: &str, dtype: DType, inputs: &[&str]) -> String {
        self.add(op, inputs, typed(dtype))
    }

    pub(super) fn float(&mut self, op: &str, inputs: &[&str]) -> String {
        self.of(op, DType::F32, inputs)
    }

    pub(super) fn int(&mut self, op: &str, inputs: &[&str]) -> String {
        self.of(op, DType::I32, inputs)
    }

    pub(super) fn constant<T: Element>(&mut self, shape: &[usize], values: &[T]) -> String {
        let tensor = Tensor::from_slice(shape, values).expect("the values fill the shape");
        let attrs = Attrs::default()
            .with("dtype", AttrValue::Type(Some(T::DTYPE)))
            .with("value", AttrValue::Tensor(tensor));
        self.add("Const", &[], attrs)
    }

    pub(super) fn number<T: Element>(&mut self, value: T) -> String {
        self.constant(&[], &[value])
    }

    pub(super) fn input(&mut self, name: &str, dtype: DType, shape: &[usize]) -> String {
        let dims = shape.iter().map(|&dim| Dim::Fixed(dim)).collect();
        let attrs = Attrs::default()
            .with("dtype", AttrValue::Type(Some(dtype)))
            .with("shape", AttrValue::Shape(Some(Shape(dims))));
        self.named(name, "Placeholder", &[], attrs)
    }

    /// `shape(of)[0]`
    pub(super) fn rows(&mut self, of: &str) -> String {
        let shape = self.float("Shape", &[of]);
        self.element(&shape, DType::I32, 0)
    }

    pub(super) fn element(&mut self, vector: &str, dtype: DType, index: i32) -> String {
        let begin = self.constant(&[1], &[index]);
        let end = self.constant(&[1], &[index + 1]);
        let step = self.constant(&[1], &[1i32]);
        let attrs = typed(dtype)
            .with("Index", AttrValue::Type(Some(DType::I32)))
            .with("shrink_axis_mask", AttrValue::Int(1));
        self.add("StridedSlice", &[vector, &begin, &end, &step], attrs)
    }

    pub(super) fn gather(&mut self, style: Style, params: &str, indices: &str) -> String {
        if style == Style::Filtered {
            return self.add("Gather", &[params, indices], Attrs::default());
        }
        let axis = self.number(0i32);
        self.add("GatherV2", &[params, indices, &axis], Attrs::default())
    }

    pub(super) fn gather_rows(&mut self, style: Style, rows: &Rows, indices: &str) -> Rows {
        Rows {
            boxes: self.gather(style, &rows.boxes, indices),
            scores: self.gather(style, &rows.scores, indices),
            others: rows
                .others
                .iter()
                .map(|other| self.gather(style, other, indices))
                .collect(),
        }
    }

    pub(super) fn concat(&mut self, parts: &[String], axis: i32) -> String {
        if let [part] = parts {
            return self.float("Identity", &[part]);
        }
        let axis = self.number(axis);
        let mut inputs: Vec<&str> = parts.iter().map(String::as_str).collect();
        inputs.push(&axis);
        let n = i64::try_from(parts.len()).expect("few parts");
        self.add(
            "ConcatV2",
            &inputs,
            typed(DType::F32).with("N", AttrValue::Int(n)),
        )
    }

    pub(super) fn pack(&mut self, parts: &[&str], dtype: DType, axis: i64) -> String {
        let n = i64::try_from(parts.len()).expect("few parts");
        let attrs = typed(dtype)
            .with("N", AttrValue::Int(n))
            .with("axis", AttrValue::Int(axis));
        self.add("Pack", parts, attrs)
    }

    pub(super) fn range(&mut self, limit: &str) -> String {
        let (start, delta) = (self.number(0i32), self.number(1i32));
        self.int("Range", &[&start, limit, &delta])
    }

    pub(super) fn fill<T: Element>(&mut self, len: &str, value: T) -> String {
        let flat = self.constant(&[1], &[-1i32]);
        let dims = self.int("Reshape", &[len, &flat]);
        let value = self.number(value);
        self.of("Fill", T::DTYPE, &[&dims, &value])
    }

    pub(super) fn cast(&mut self, from: DType, to: DType, of: &str) -> String {
        let attrs = Attrs::default()
            .with("SrcT", AttrValue::Type(Some(from)))
            .with("DstT", AttrValue::Type(Some(to)));
        self.add("Cast", &[of], attrs)
    }

    pub(super) fn unpack(&mut self, of: &str, count: usize, axis: i64) -> Vec<String> {
        let attrs = typed(DType::F32)
            .with("num", AttrValue::Int(i64::try_from(count).expect("few")))
            .with("axis", AttrValue::Int(axis));
        ports(&self.add("Unpack", &[of], attrs), count)
    }

    pub(super) fn split(&mut self, boxes: &str) -> Vec<String> {
        let axis = self.number(1i32);
        let attrs = typed(DType::F32).with("num_split", AttrValue::Int(4));
        ports(&self.add("Split", &[&axis, boxes], attrs), 4)
    }

    pub(super) fn squeeze(&mut self, of: &str, axis: i64) -> String {
        let attrs = typed(DType::F32).with("squeeze_dims", AttrValue::Ints(vec![axis]));
        self.add("Squeeze", &[of], attrs)
    }

    pub(super) fn area(&mut self, boxes: &str) -> String {
        let c = self.split(boxes);
        let height = self.float("Sub", &[&c[2], &c[0]]);
        let width = self.float("Sub", &[&c[3], &c[1]]);
        let area = self.float("Mul", &[&height, &width]);
        self.squeeze(&area, 1)
    }

    pub(super) fn places(&mut self, condition: &str) -> String {
        let found = self.of("Where", DType::Bool, &[condition]);
        let flat = self.constant(&[1], &[-1i32]);
        let found = self.of("Reshape", DType::I64, &[&found, &flat]);
        self.cast(DType::I64, DType::I32, &found)
    }

    pub(super) fn above(&mut self, values: &str, threshold: f32) -> String {
        let threshold = self.number(threshold);
        let above = self.float("Greater", &[values, &threshold]);
        self.places(&above)
    }

    pub(super) fn clip(&mut self, boxes: &str, window: &[String]) -> String {
        let c = self.split(boxes);
        let clipped: Vec<String> = [0, 1, 2, 3]
            .map(|part| {
                let least = self.float("Minimum", &[&c[part], &window[2 + part % 2]]);
                self.float("Maximum", &[&least, &window[part % 2]])
            })
            .into();
        self.concat(&clipped, 1)
    }

    pub(super) fn clip_to_window(&mut self, style: Style, rows: &Rows, window: &str) -> Rows {
        let corners = self.corners(style, window);
        let clipped = self.clip(&rows.boxes, &corners);
        let areas = self.area(&clipped);
        let indices = self.above(&areas, 0.0);
        let rows = Rows {
            boxes: clipped,
            ..rows.clone()
        };
        self.gather_rows(style, &rows, &indices)
    }

    pub(super) fn corners(&mut self, style: Style, window: &str) -> Vec<String> {
        if style == Style::Filtered {
            return self.unpack(window, 4, 0);
        }
        [0, 1, 2, 3]
            .map(|corner| self.element(window, DType::F32, corner))
            .into()
    }

    pub(super) fn change_frame(&mut self, style: Style, boxes: &str, window: &str) -> String {
        let w = self.corners(style, window);
        let one = self.number(1f32);
        let height = self.float("Sub", &[&w[2], &w[0]]);
        let width = self.float("Sub", &[&w[3], &w[1]]);
        // TensorFlow's optimizer makes the one out of the other.
        let scales = [height, width].map(|side| match style {
            Style::PaddedV3 => self.float("Reciprocal", &[&side]),
            _ => self.float("RealDiv", &[&one, &side]),
        });
        let again = self.corners(style, window);
        let origin = [&*again[0], &again[1], &again[0], &again[1]];
        let origin = self.pack(&origin, DType::F32, 0);
        let moved = self.float("Sub", &[boxes, &origin]);
        let c = self.split(&moved);
        let scaled: Vec<String> = [0, 1, 2, 3]
            .map(|part| self.float("Mul", &[&scales[part % 2], &c[part]]))
            .into();
        self.concat(&scaled, 1)
    }

    pub(super) fn sort(&mut self, style: Style, rows: &Rows) -> Rows {
        let count = self.rows(&rows.boxes);
        let sorted = self.float("TopKV2", &[&rows.scores, &count]);
        self.gather_rows(style, rows, &format!("{sorted}:1"))
    }

    pub(super) fn minus_ones(&mut self, len: &str) -> String {
        let ones = self.fill(len, 1f32);
        let minus = self.number(-1f32);
        self.float("Mul", &[&minus, &ones])
    }

    pub(super) fn valid(&mut self, limit: &str, count: &str) -> String {
        let range = self.range(limit);
        self.int("Less", &[&range, count])
    }

    /// The rows with zeros behind them, as many as there may be.
    pub(super) fn pad(&mut self, of: &str, total: i32, rest: &[i32]) -> String {
        let rank = 1 + rest.len();
        let shape = self.float("Shape", &[of]);
        let mut sizes = Vec::new();
        for (axis, &size) in (0..).zip(std::iter::once(&total).chain(rest)) {
            let own = self.element(&shape, DType::I32, axis);
            let size = self.number(size);
            let excess = self.int("Sub", &[&own, &size]);
            let zero = self.number(0i32);
            let larger = self.int("Greater", &[&excess, &zero]);
            let all = self.number(-1i32);
            sizes.push(self.int("Select", &[&larger, &size, &all]));
        }
        let sizes: Vec<&str> = sizes.iter().map(String::as_str).collect();
        let size = self.pack(&sizes, DType::I32, 0);
        let zeros = self.constant(&[rank], &vec![0i32; rank]);
        let attrs = typed(DType::F32).with("Index", AttrValue::Type(Some(DType::I32)));
        let clipped = self.add("Slice", &[of, &zeros, &size], attrs);
        let shape = self.float("Shape", &[&clipped]);
        let mut after = Vec::new();
        for (axis, &size) in (0..).zip(std::iter::once(&total).chain(rest)) {
            let own = self.element(&shape, DType::I32, axis);
            let size = self.number(size);
            after.push(self.int("Sub", &[&size, &own]));
        }
        let after: Vec<&str> = after.iter().map(String::as_str).collect();
        let after = self.pack(&after, DType::I32, 0);
        let paddings = self.pack(&[&zeros, &after], DType::I32, 1);
        self.add(
            "Pad",
            &[&clipped, &paddings],
            typed(DType::F32).with("Tpaddings", AttrValue::Type(Some(DType::I32))),
        )
    }
}
