use tfjet_core::{OutputSpec, TensorView};

use crate::Session;

/// The outputs of a run, in the manifest's order: views of what the session and its bundle hold.
#[derive(Debug, Clone, Copy)]
pub struct Outputs<'a> {
    session: &'a Session,
}

impl<'a> Outputs<'a> {
    pub(crate) fn new(session: &'a Session) -> Self {
        Self { session }
    }

    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.session.manifest().outputs.len()
    }

    /// Has the model no outputs?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Output `index`; `None` where there are fewer.
    pub fn get(&self, index: usize) -> Option<TensorView<'a>> {
        self.session.output(index)
    }

    /// The output of this name.
    pub fn named(&self, name: &str) -> Option<TensorView<'a>> {
        let mut specs = self.session.manifest().outputs.iter();
        self.get(specs.position(|spec| spec.name == name)?)
    }

    /// All outputs with their descriptions.
    pub fn iter(&self) -> impl Iterator<Item = (&'a OutputSpec, TensorView<'a>)> + use<'a> {
        let session = self.session;
        let specs = session.manifest().outputs.iter().enumerate();
        specs.filter_map(|(index, spec)| Some((spec, session.output(index)?)))
    }
}
