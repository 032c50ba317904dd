//! An element that calls memory of the system a Jetson's (`memory:NVMM`), or the other way round.

use gstreamer::{self as gst, glib, prelude::*, subclass::prelude::*};

const NVMM: &str = "memory:NVMM";

fn relabelled(caps: &gst::CapsRef, nvmm: bool) -> gst::Caps {
    if caps.is_any() {
        return gst::Caps::new_any();
    }
    let mut all = gst::Caps::new_empty();
    for structure in caps.iter() {
        let features = match nvmm {
            true => gst::CapsFeatures::new([NVMM]),
            false => gst::CapsFeatures::new_empty(),
        };
        all.make_mut()
            .append_structure_full(structure.to_owned(), Some(features));
    }
    all
}

mod element {
    use super::*;

    #[derive(Debug)]
    pub(crate) struct Relabel {
        sink: gst::Pad,
        src: gst::Pad,
    }

    impl Relabel {
        /// Does the element's output lie in a Jetson's memory?
        fn nvmm(&self) -> bool {
            self.obj().name().contains("nvmm")
        }

        fn event(&self, event: gst::Event) -> bool {
            if let gst::EventView::Caps(caps) = event.view() {
                let caps = relabelled(caps.caps(), self.nvmm());
                return self.src.push_event(gst::event::Caps::new(&caps));
            }
            self.src.push_event(event)
        }

        /// Asks the element on the other side, in its own words.
        fn query(&self, from: &gst::Pad, to: &gst::Pad, query: &mut gst::QueryRef) -> bool {
            let there = self.nvmm() == (to == &self.src);
            match query.view_mut() {
                gst::QueryViewMut::Caps(caps) => {
                    let filter = caps.filter().map(|filter| relabelled(filter, there));
                    let found = to.peer_query_caps(filter.as_ref());
                    caps.set_result(&relabelled(&found, !there));
                    true
                }
                gst::QueryViewMut::AcceptCaps(caps) => {
                    let asked = relabelled(caps.caps(), there);
                    let accepted = to.peer_query_accept_caps(&asked);
                    caps.set_result(accepted);
                    true
                }
                gst::QueryViewMut::Allocation(_) => false,
                _ => gst::Pad::query_default(from, Some(&*self.obj()), query),
            }
        }
    }

    #[glib::object_subclass]
    impl ObjectSubclass for Relabel {
        const NAME: &'static str = "StandInRelabel";
        type Type = super::Relabel;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let sink = gst::Pad::builder_from_template(&class.pad_template("sink").unwrap())
                .chain_function(|_, parent, buffer| {
                    let element = parent.unwrap().downcast_ref::<super::Relabel>().unwrap();
                    element.imp().src.push(buffer)
                })
                .event_function(|_, parent, event| {
                    let element = parent.unwrap().downcast_ref::<super::Relabel>().unwrap();
                    element.imp().event(event)
                })
                .query_function(|pad, parent, query| {
                    let element = parent.unwrap().downcast_ref::<super::Relabel>().unwrap();
                    element.imp().query(pad, &element.imp().src, query)
                })
                .build();
            let src = gst::Pad::builder_from_template(&class.pad_template("src").unwrap())
                .query_function(|pad, parent, query| {
                    let element = parent.unwrap().downcast_ref::<super::Relabel>().unwrap();
                    element.imp().query(pad, &element.imp().sink, query)
                })
                .build();
            Self { sink, src }
        }
    }

    impl ObjectImpl for Relabel {
        fn constructed(&self) {
            self.parent_constructed();
            self.obj().add_pad(&self.sink).unwrap();
            self.obj().add_pad(&self.src).unwrap();
        }
    }

    impl GstObjectImpl for Relabel {}

    impl ElementImpl for Relabel {
        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: std::sync::OnceLock<Vec<gst::PadTemplate>> =
                std::sync::OnceLock::new();
            TEMPLATES.get_or_init(|| {
                [
                    ("sink", gst::PadDirection::Sink),
                    ("src", gst::PadDirection::Src),
                ]
                .map(|(name, direction)| {
                    let any = gst::Caps::new_any();
                    gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &any).unwrap()
                })
                .to_vec()
            })
        }
    }
}

glib::wrapper! {
    pub(crate) struct Relabel(ObjectSubclass<element::Relabel>)
        @extends gst::Element, gst::Object;
}

/// An element to a Jetson's memory, or from it.
pub(crate) fn relabel(nvmm: bool) -> gst::Element {
    let name = if nvmm { "to-nvmm" } else { "to-system" };
    let element: Relabel = glib::Object::builder().property("name", name).build();
    element.upcast()
}
