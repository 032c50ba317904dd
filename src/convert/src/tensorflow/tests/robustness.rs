use proptest::prelude::*;

use super::*;

#[test]
fn deep_nesting_does_not_exhaust_the_stack() {
    let files = Files::new();
    let deep = |open: &str| open.repeat(200_000);
    let mut binary = Vec::new();
    for _ in 0..20_000 {
        binary = [vec![0x12], varint(binary.len()), binary].concat();
    }
    let node = [
        b"\x0a\x01a\x12\x01b\x3a".to_vec(),
        varint(binary.len()),
        binary,
    ]
    .concat();
    let graph = [vec![0x0a], varint(node.len()), node].concat();
    for (contents, expected) in [
        (graph, "recursion limit reached"),
        (deep("{\"a\":").into_bytes(), "EOF while parsing"),
        (
            format!("{{\"modelTopology\":{{\"node\":[{{\"experimentalType\":{}", deep("{\"args\":[")).into_bytes(),
            "EOF while parsing",
        ),
        (
            format!(
                "{{\"modelTopology\":{{\"node\":[{{\"experimentalType\":{}{}}}]}},\"weightsManifest\":[]}}",
                deep("{\"args\":["),
                deep("]}")
            )
            .into_bytes(),
            "recursion limit exceeded",
        ),
    ] {
        let message = message(&files.write("deep.pb", contents));
        assert!(message.contains(expected), "{message}");
    }
}

fn varint(value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(value.try_into().unwrap(), &mut bytes);
    bytes
}

fn read_all(bytes: &[u8], directory: &Path) {
    let _ = sniff::foreign(bytes).map(|problem| problem.at(directory).to_string());
    let _ = frozen::decode(bytes.to_vec().into(), directory, &ImportOptions::default())
        .map_err(|problem| problem.at(directory).to_string());
    let _ = text::graph_def(bytes).map_err(|problem| problem.at(directory).to_string());
    let _ = tfjs::parse(bytes, directory, &ImportOptions::default())
        .map_err(|problem| problem.at(directory).to_string());
}

fn mutated(mut bytes: Vec<u8>, edits: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (index, kind, byte) in edits {
        let at = index.index(bytes.len());
        match kind % 4 {
            0 => bytes[at] = *byte,
            1 => bytes.insert(at, *byte),
            2 if bytes.len() > 1 => {
                bytes.remove(at);
            }
            _ => {
                let other = usize::from(*byte) % bytes.len();
                bytes.swap(at, other);
            }
        }
    }
    bytes
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes, Path::new("."));
    }

    #[test]
    fn mutated_graphs_never_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let files = Files::new();
        files.model(MODEL_JSON);
        let text = b"node { name: \"a\\n\\x41\\u00e9\" op: 'B' input: ['x', \"y\"] attr { key: \"f\" \
            value { f: -1.5e3 } } attr < key: \"t\" value < tensor < dtype: 3 int_val: [0x1f, 017] > > > }";
        for whole in [small_graph().encode_to_vec(), text.to_vec(), MODEL_JSON.as_bytes().to_vec()] {
            read_all(&whole[..cut.index(whole.len())], files.0.path());
            read_all(&mutated(whole, &edits), files.0.path());
        }
    }
}
