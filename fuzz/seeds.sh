#!/bin/sh
# Writes the seeds of the fuzz targets to corpus/, from the models that the tests use.
set -eu
cd "$(dirname "$0")"
models=../tests/fixtures/saved_model
# The first byte says that the rest is a file as it is.
seed() {
    mkdir -p "corpus/$1"
    { printf '\000'; cat "$3"; } >"corpus/$1/$2"
}
for name in toy keras3 keras2 tf1; do
    seed graph_def "$name.pb" "$models/$name/saved_model.pb"
    seed variables_index "$name.index" "$models/$name/variables/variables.index"
done
seed graph_def text.pbtxt "$models/tf1_references/saved_model.pbtxt"
seed graph_def checkpoint.meta "$models/tf1_checkpoint/model.ckpt.meta"
seed tensor_slices one_file "$models/tf1_checkpoint_v1/model.ckpt"
for shard in 0 1; do
    seed tensor_slices "shard-$shard" "$models/tf1_checkpoint_v1_shards/model.ckpt-0000$shard-of-00002"
done
seed model_json small.json seeds/model.json
# Other first bytes: models that are made of the bytes that follow.
for kind in 100 160 230; do
    for target in graph_def variables_index tensor_slices model_json; do
        for fill in 1 2 3; do
            octal=$(printf '%03o' "$kind")
            { printf "\\$octal"; head -c 400 "$models/toy/saved_model.pb" | tail -c "$((fill * 120))"; } \
                >"corpus/$target/made-$kind-$fill"
        done
    done
done
