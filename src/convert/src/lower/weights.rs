use std::collections::BTreeMap;
use std::sync::Arc;

use tfjet_core::{Tensor, TensorError, WeightsEntry, WeightsId, WeightsTable};

/// Weights cannot be addressed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("weight {0} does not exist")]
pub struct WeightsError(pub u32);

/// Alignment of every array in the weights section.
const ALIGNMENT: usize = 64;

/// Weights of a conversion; equal arrays are held once.
#[derive(Debug, Clone, Default)]
pub struct WeightsStore {
    tensors: Vec<Arc<Tensor>>,
    by_hash: BTreeMap<[u8; 32], WeightsId>,
}

impl WeightsStore {
    /// Takes an array in, or finds the equal one.
    pub fn add(&mut self, tensor: Arc<Tensor>) -> WeightsId {
        let mut hasher = blake3::Hasher::new();
        hasher.update(tensor.dtype().name().as_bytes());
        for size in tensor.shape() {
            hasher.update(&size.to_le_bytes());
        }
        hasher.update(b"|");
        hasher.update(tensor.bytes());
        let tensors = &mut self.tensors;
        *self
            .by_hash
            .entry(*hasher.finalize().as_bytes())
            .or_insert_with(|| {
                tensors.push(tensor);
                WeightsId(u32::try_from(tensors.len() - 1).unwrap_or(u32::MAX))
            })
    }

    /// Number of arrays.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Has it no arrays?
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// The array of `id`.
    pub fn get(&self, id: WeightsId) -> Result<&Arc<Tensor>, WeightsError> {
        let index = usize::try_from(id.0).unwrap_or(usize::MAX);
        self.tensors.get(index).ok_or(WeightsError(id.0))
    }

    /// Lays out the arrays that are `used`, in the order of their first use.
    pub fn lay_out(
        &self,
        used: impl IntoIterator<Item = WeightsId>,
    ) -> Result<WeightsLayout, WeightsError> {
        let mut table = WeightsTable::default();
        let mut blob = Vec::new();
        let mut places = BTreeMap::new();
        for id in used {
            if places.contains_key(&id) {
                continue;
            }
            let tensor = self.get(id)?;
            blob.resize(blob.len().next_multiple_of(ALIGNMENT), 0);
            let place = WeightsId(u32::try_from(table.entries.len()).unwrap_or(u32::MAX));
            places.insert(id, place);
            table.entries.push(WeightsEntry {
                dtype: tensor.dtype(),
                shape: tensor.shape().to_vec(),
                offset: blob.len() as u64,
                len_bytes: tensor.bytes().len() as u64,
            });
            blob.extend_from_slice(tensor.bytes());
        }
        Ok(WeightsLayout {
            table,
            blob,
            places,
        })
    }
}

/// Weights as a bundle holds them.
#[derive(Debug, Clone, Default)]
pub struct WeightsLayout {
    /// Where each array lies.
    pub table: WeightsTable,
    /// The bytes of the weights section.
    pub blob: Vec<u8>,
    /// For each id of the store, its place in the table.
    pub places: BTreeMap<WeightsId, WeightsId>,
}

/// A copy of `tensor` whose axis `i` is the old axis `order[i]`.
pub fn permute(tensor: &Tensor, order: &[usize]) -> Result<Tensor, TensorError> {
    let shape: Vec<usize> = order.iter().map(|&axis| tensor.shape()[axis]).collect();
    let mut result = Tensor::zeros(tensor.dtype(), &shape)?;
    let mut strides = vec![1usize; tensor.shape().len()];
    for axis in (0..strides.len().saturating_sub(1)).rev() {
        strides[axis] = strides[axis + 1] * tensor.shape()[axis + 1];
    }
    let steps: Vec<usize> = order.iter().map(|&axis| strides[axis]).collect();
    let size = tensor.dtype().size_bytes();
    let source = tensor.bytes();
    let mut index = vec![0usize; shape.len()];
    let mut offset = 0usize;
    for chunk in result.bytes_mut().chunks_exact_mut(size) {
        chunk.copy_from_slice(&source[offset * size..offset * size + size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            offset += steps[axis];
            if index[axis] < shape[axis] {
                break;
            }
            offset -= steps[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    Ok(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutes() {
        let tensor = Tensor::from_slice(&[2, 3], &[1i32, 2, 3, 4, 5, 6]).unwrap();
        let turned = permute(&tensor, &[1, 0]).unwrap();
        assert_eq!(turned.shape(), [3, 2]);
        assert_eq!(turned.as_slice::<i32>().unwrap(), [1, 4, 2, 5, 3, 6]);
    }

    #[test]
    fn equal_arrays_are_stored_once_and_aligned() {
        let mut store = WeightsStore::default();
        let one = store.add(Arc::new(Tensor::from_slice(&[1], &[1.0f32]).unwrap()));
        let two = store.add(Arc::new(Tensor::from_slice(&[1], &[2.0f32]).unwrap()));
        assert_eq!(
            store.add(Arc::new(Tensor::from_slice(&[1], &[1.0f32]).unwrap())),
            one
        );
        let WeightsLayout {
            table,
            blob,
            places,
        } = store.lay_out([two, one, two]).unwrap();
        assert_eq!(table.entries.len(), 2);
        assert_eq!(places[&two], WeightsId(0));
        assert_eq!(table.entries[1].offset, 64);
        assert_eq!(blob.len(), 68);
    }
}
