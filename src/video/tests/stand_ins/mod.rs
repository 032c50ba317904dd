//! Stand-ins for a Jetson's elements and for a camera: bins of ordinary elements under the real
//! names, with the real ones' pads and properties.

mod relabel;

use std::{
    sync::{
        Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use gstreamer::{self as gst, glib, prelude::*, subclass::prelude::*};

use self::relabel::relabel;

/// Is the CSI camera unplugged?
pub(crate) static UNPLUGGED: AtomicBool = AtomicBool::new(false);
/// Does the CSI camera hang as it is opened or closed?
pub(crate) static HANGING: AtomicBool = AtomicBool::new(false);
/// How the decoder fails; see the constants.
pub(crate) static FAULT: AtomicU8 = AtomicU8::new(SOUND);
/// The decoder does what it should.
pub(crate) const SOUND: u8 = 0;
/// The decoder's device cannot be opened.
pub(crate) const DOES_NOT_OPEN: u8 = 1;
/// The decoder stops at the first frame.
pub(crate) const DOES_NOT_DECODE: u8 = 2;
/// The `flip-method` that was used last.
pub(crate) static FLIP: AtomicI32 = AtomicI32::new(-1);
/// Was the decoder told that it decodes JPEG, the last time?
pub(crate) static MJPEG: AtomicBool = AtomicBool::new(false);

/// What a stand-in stands in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Camera,
    Decoder,
    JpegDecoder,
    Converter,
    Device,
}

const CODECS: &str = "image/jpeg; video/x-h264, stream-format=byte-stream, alignment=au";
const NV12: &str = "video/x-raw(memory:NVMM), format=NV12";
const I420: &str = "video/x-raw, format=I420";

impl Role {
    const ALL: [Self; 5] = [
        Self::Camera,
        Self::Decoder,
        Self::JpegDecoder,
        Self::Converter,
        Self::Device,
    ];

    pub(crate) fn element(self) -> &'static str {
        match self {
            Self::Camera => "nvarguscamerasrc",
            Self::Decoder => "nvv4l2decoder",
            Self::JpegDecoder => "nvjpegdec",
            Self::Converter => "nvvidconv",
            Self::Device => "v4l2src",
        }
    }

    /// Caps of the sink pad, where there is one, and of the source pad.
    fn caps(self) -> (Option<&'static str>, &'static str) {
        match self {
            Self::Camera => (None, NV12),
            Self::Decoder => (Some(CODECS), NV12),
            Self::JpegDecoder => (Some("image/jpeg"), I420),
            Self::Converter => (Some(NV12), "video/x-raw, format={BGRx, RGBA, NV12, I420}"),
            Self::Device => (None, "video/x-raw; image/jpeg"),
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Camera | Self::Device => "Source/Video",
            Self::Decoder | Self::JpegDecoder => "Codec/Decoder/Video",
            Self::Converter => "Filter/Converter/Video/Scaler",
        }
    }
}

/// The state of a stand-in.
#[derive(Debug, Default)]
struct Settings {
    number: i32,
    device: String,
    mjpeg: bool,
    flip: i32,
    built: bool,
}

fn elements(bin: &gst::Bin, all: &[gst::Element]) {
    for element in all {
        bin.add(element).unwrap();
    }
    gst::Element::link_many(all).unwrap();
}

fn make(name: &str) -> gst::Element {
    gst::ElementFactory::make(name).build().unwrap()
}

fn described(text: &str) -> gst::Element {
    gst::parse::bin_from_description(text, true)
        .unwrap()
        .upcast()
}

impl Settings {
    /// The elements that do the work.
    fn chain(&self, role: Role) -> Vec<gst::Element> {
        match role {
            Role::Camera => vec![
                described(
                    "videotestsrc is-live=true pattern=ball ! capsfilter caps=video/x-raw,format=NV12",
                ),
                relabel(true),
            ],
            Role::Decoder => {
                MJPEG.store(self.mjpeg, Ordering::Release);
                let decoder = if self.mjpeg { "jpegdec" } else { "avdec_h264" };
                vec![
                    make(decoder),
                    described("videoconvert ! capsfilter caps=video/x-raw,format=NV12"),
                    relabel(true),
                ]
            }
            Role::JpegDecoder => vec![make("jpegdec"), make("videoconvert")],
            Role::Converter => {
                FLIP.store(self.flip, Ordering::Release);
                let method = [0, 3, 2, 1, 4, 7, 5, 6][self.flip as usize];
                vec![
                    relabel(false),
                    described(&format!(
                        "videoconvert ! videoflip method={method} ! videoconvert"
                    )),
                ]
            }
            Role::Device => {
                let kind = std::fs::read_to_string(&self.device).unwrap_or_default();
                let text = "videotestsrc is-live=true pattern=ball \
                            ! video/x-raw,width=320,height=240,framerate=30/1";
                vec![match kind.trim() {
                    "jpeg" => described(&format!("{text} ! jpegenc")),
                    _ => described(&format!("{text},format=YUY2 ! identity")),
                }]
            }
        }
    }

    /// Why the element does not work now.
    fn fault(&self, role: Role, running: bool) -> Option<&'static str> {
        match role {
            Role::Camera => (self.number > 0 || UNPLUGGED.load(Ordering::Acquire))
                .then_some("No cameras available"),
            Role::Decoder => match FAULT.load(Ordering::Acquire) {
                DOES_NOT_OPEN if !running => Some("Cannot open device"),
                DOES_NOT_DECODE if running => Some("Failed to decode"),
                _ => None,
            },
            Role::Device => {
                (!std::path::Path::new(&self.device).exists()).then_some("No such device")
            }
            _ => None,
        }
    }
}

macro_rules! stand_in {
    ($module:ident, $name:ident, $role:expr) => {
        mod $module {
            use super::*;

            #[derive(Debug, Default)]
            pub(crate) struct $name(Mutex<Settings>);

            #[glib::object_subclass]
            impl ObjectSubclass for $name {
                const NAME: &'static str = concat!("StandIn", stringify!($name));
                type Type = super::$name;
                type ParentType = gst::Bin;
            }

            impl ObjectImpl for $name {
                fn properties() -> &'static [glib::ParamSpec] {
                    static ALL: OnceLock<Vec<glib::ParamSpec>> = OnceLock::new();
                    ALL.get_or_init(|| properties($role))
                }

                fn set_property(&self, _: usize, value: &glib::Value, spec: &glib::ParamSpec) {
                    let mut settings = self.0.lock().unwrap();
                    match spec.name() {
                        "sensor-id" => settings.number = value.get().unwrap(),
                        "flip-method" => settings.flip = value.get().unwrap(),
                        "mjpeg" => settings.mjpeg = value.get().unwrap(),
                        "device" => {
                            settings.device = value.get::<Option<String>>().unwrap().unwrap()
                        }
                        _ => {}
                    }
                }

                fn property(&self, _: usize, spec: &glib::ParamSpec) -> glib::Value {
                    let settings = self.0.lock().unwrap();
                    match spec.name() {
                        "sensor-id" => settings.number.to_value(),
                        "flip-method" => settings.flip.to_value(),
                        "device" => settings.device.to_value(),
                        _ => settings.mjpeg.to_value(),
                    }
                }

                fn constructed(&self) {
                    self.parent_constructed();
                    for template in <Self as ElementImpl>::pad_templates() {
                        let pad = gst::GhostPad::from_template(template);
                        self.obj().add_pad(&pad).unwrap();
                    }
                }
            }

            impl GstObjectImpl for $name {}
            impl BinImpl for $name {}

            impl ElementImpl for $name {
                fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
                    static DATA: OnceLock<gst::subclass::ElementMetadata> = OnceLock::new();
                    Some(DATA.get_or_init(|| {
                        let name = $role.element();
                        gst::subclass::ElementMetadata::new(name, $role.class(), name, "test")
                    }))
                }

                fn pad_templates() -> &'static [gst::PadTemplate] {
                    static ALL: OnceLock<Vec<gst::PadTemplate>> = OnceLock::new();
                    ALL.get_or_init(|| templates($role))
                }

                fn change_state(
                    &self,
                    change: gst::StateChange,
                ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
                    if matches!(
                        change,
                        gst::StateChange::NullToReady | gst::StateChange::ReadyToNull
                    ) {
                        hang($role);
                    }
                    if change == gst::StateChange::NullToReady {
                        let mut settings = self.0.lock().unwrap();
                        if let Some(fault) = settings.fault($role, false) {
                            let bin = self.obj();
                            gst::element_error!(bin, gst::ResourceError::NotFound, ["{fault}"]);
                            return Err(gst::StateChangeError);
                        }
                        if !std::mem::replace(&mut settings.built, true) {
                            build(self.obj().upcast_ref(), &settings, $role, fault);
                        }
                    }
                    self.parent_change_state(change)
                }
            }

            fn fault(bin: &gst::Bin) -> Option<&'static str> {
                let own = bin.downcast_ref::<super::$name>().unwrap().imp();
                own.0.lock().unwrap().fault($role, true)
            }
        }

        glib::wrapper! {
            pub(crate) struct $name(ObjectSubclass<$module::$name>)
                @extends gst::Bin, gst::Element, gst::Object,
                @implements gst::ChildProxy;
        }
    };
}

stand_in!(camera, Camera, Role::Camera);
stand_in!(decoder, Decoder, Role::Decoder);
stand_in!(jpeg_decoder, JpegDecoder, Role::JpegDecoder);
stand_in!(converter, Converter, Role::Converter);
stand_in!(device, Device, Role::Device);

fn properties(role: Role) -> Vec<glib::ParamSpec> {
    let number = |name: &str, most| {
        glib::ParamSpecInt::builder(name)
            .minimum(0)
            .maximum(most)
            .build()
    };
    match role {
        Role::Camera => vec![number("sensor-id", 255)],
        Role::Decoder => vec![
            glib::ParamSpecBoolean::builder("mjpeg").build(),
            glib::ParamSpecBoolean::builder("enable-max-performance").build(),
        ],
        Role::JpegDecoder => vec![],
        Role::Converter => vec![number("flip-method", 7)],
        Role::Device => vec![
            glib::ParamSpecString::builder("device").build(),
            number("io-mode", 5),
        ],
    }
}

fn templates(role: Role) -> Vec<gst::PadTemplate> {
    let template = |name: &str, direction, caps: &str| {
        let caps = caps.parse::<gst::Caps>().unwrap();
        gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).unwrap()
    };
    let (sink, src) = role.caps();
    let sink = sink.map(|caps| template("sink", gst::PadDirection::Sink, caps));
    let src = template("src", gst::PadDirection::Src, src);
    sink.into_iter().chain([src]).collect()
}

/// Holds up the caller while the camera hangs.
fn hang(role: Role) {
    let begin = Instant::now();
    while role == Role::Camera
        && HANGING.load(Ordering::Acquire)
        && begin.elapsed() < Duration::from_secs(10)
    {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Fills a bin, and watches over the frames that come out of it.
fn build(
    bin: &gst::Bin,
    settings: &Settings,
    role: Role,
    fault: fn(&gst::Bin) -> Option<&'static str>,
) {
    let chain = settings.chain(role);
    elements(bin, &chain);
    let target = |name: &str, element: &gst::Element, pad: &str| {
        let ghost = bin.static_pad(name).unwrap();
        let ghost = ghost.downcast::<gst::GhostPad>().unwrap();
        ghost.set_target(element.static_pad(pad).as_ref()).unwrap();
    };
    if role.caps().0.is_some() {
        target("sink", chain.first().unwrap(), "sink");
    }
    target("src", chain.last().unwrap(), "src");
    let weak = bin.downgrade();
    let pad = bin.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(bin) = weak.upgrade() else {
            return gst::PadProbeReturn::Ok;
        };
        if let Some(fault) = fault(&bin) {
            gst::element_error!(bin, gst::ResourceError::Read, ["{fault}"]);
            info.flow_res = Err(gst::FlowError::Error);
            return gst::PadProbeReturn::Handled;
        }
        gst::PadProbeReturn::Ok
    });
}

/// The stand-ins of one test; the tests of a process take turns.
pub(crate) struct Installed {
    roles: Vec<Role>,
    _turn: MutexGuard<'static, ()>,
}

impl Installed {
    pub(crate) fn new(roles: &[Role]) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock().unwrap_or_else(|broken| broken.into_inner());
        gst::init().unwrap();
        FAULT.store(SOUND, Ordering::Release);
        UNPLUGGED.store(false, Ordering::Release);
        HANGING.store(false, Ordering::Release);
        FLIP.store(-1, Ordering::Release);
        MJPEG.store(false, Ordering::Release);
        let registry = gst::Registry::get();
        for &role in roles {
            registry.add_feature(factory(role)).unwrap();
        }
        Self {
            roles: roles.to_vec(),
            _turn: turn,
        }
    }

    /// All that a Jetson has, and a camera at a device.
    pub(crate) fn all() -> Self {
        Self::new(&Role::ALL)
    }
}

impl Drop for Installed {
    fn drop(&mut self) {
        let registry = gst::Registry::get();
        for &role in &self.roles {
            registry.remove_feature(factory(role));
        }
    }
}

/// The factory of a stand-in, registered once: an element's class keeps a pointer to it.
fn factory(role: Role) -> &'static gst::ElementFactory {
    static ALL: OnceLock<Vec<gst::ElementFactory>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let registry = gst::Registry::get();
        let register = |role: Role| {
            let kind = match role {
                Role::Camera => Camera::static_type(),
                Role::Decoder => Decoder::static_type(),
                Role::JpegDecoder => JpegDecoder::static_type(),
                Role::Converter => Converter::static_type(),
                Role::Device => Device::static_type(),
            };
            // The rank of the real decoders, just above the others.
            let rank = gst::Rank::PRIMARY + 11;
            gst::Element::register(None, role.element(), rank, kind).unwrap();
            let factory = gst::ElementFactory::find(role.element()).unwrap();
            registry.remove_feature(&factory);
            factory
        };
        Role::ALL.map(register).to_vec()
    });
    let index = Role::ALL.iter().position(|known| *known == role);
    &all[index.unwrap()]
}
