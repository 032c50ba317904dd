//! Recording and replaying.

use std::sync::Arc;

use tfjet_cuda::{CudaError, DeviceBuffer, Event, PinnedBuffer, Stream};

use crate::library::Stub;

#[test]
fn a_graph_keeps_what_its_work_uses() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let buffer = DeviceBuffer::new(&context, 4).unwrap();
    let graph = stream
        .capture(|scope| {
            assert!(scope.is_capturing());
            scope.fill_zero(&buffer.region())?;
            Ok(scope.fill_zero(&buffer.region())?)
        })
        .unwrap();
    assert_eq!(graph.node_count(), 2);
    assert_eq!(stub.count("cuStreamSynchronize"), 0);
    drop(buffer);
    stream
        .scope(|scope| {
            scope.replay(&graph).unwrap();
            drop(graph);
            assert_eq!(
                stub.count("cuGraphExecDestroy"),
                0,
                "destroyed while it runs"
            );
        })
        .unwrap();
    let calls = stub.calls();
    let [launch, sync, destroy, free] = [
        "cuGraphLaunch",
        "cuStreamSynchronize",
        "cuGraphExecDestroy",
        "cuMemFree_v2",
    ]
    .map(|name| calls.iter().position(|call| call == name).unwrap());
    assert!(
        launch < sync && sync < destroy && destroy < free,
        "{calls:?}"
    );
}

#[test]
fn what_cannot_be_part_of_a_graph_is_refused() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let region = DeviceBuffer::new(&context, 4).unwrap().region();
    let event = Event::new(&context, true).unwrap();
    let empty = stream.capture(|_| Ok(())).unwrap();
    let mut host = [0; 4];
    stream
        .capture(|scope| {
            let refused = |result: Result<(), CudaError>| {
                let error = result.unwrap_err();
                assert!(matches!(error, CudaError::NotInCapture { .. }), "{error}");
            };
            refused(scope.upload(&region, &[1]));
            refused(scope.download(&mut host, &region));
            refused(scope.record(&event));
            refused(scope.wait(&event));
            refused(scope.replay(&empty));
            refused(scope.synchronize());
            refused(stream.synchronize());
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_recording_that_fails_ends_and_says_why() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let held = Arc::new(());
    let error = stream
        .capture(|scope| {
            scope.retain(held.clone());
            Err("no such layer".into())
        })
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "recording a CUDA graph failed: no such layer"
    );
    assert_eq!(stub.count("cuStreamEndCapture"), 1);
    assert_eq!(stub.count("cuGraphDestroy"), 1);
    assert_eq!(Arc::strong_count(&held), 1);
    stream.scope(|_| ()).unwrap();
}

#[test]
fn a_graph_over_host_memory_runs_only_where_that_is_borrowed_again() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let stream = Stream::new(&context).unwrap();
    let mut input = PinnedBuffer::new(&context, 8, false).unwrap();
    let mut output = PinnedBuffer::new(&context, 8, false).unwrap();
    let other = PinnedBuffer::new(&context, 8, false).unwrap();
    let graph = stream
        .capture(|scope| {
            let from = scope.device_region(&input.bytes()[..4]).unwrap();
            let to = scope.device_region_mut(output.bytes_mut()).unwrap();
            Ok(scope.copy(&to, &from)?)
        })
        .unwrap();
    assert_eq!(graph.node_count(), 1);
    let mut replay = |read: bool, write: bool| {
        stream
            .scope(|scope| {
                scope.device_region(other.bytes()).unwrap();
                if read {
                    scope.device_region(input.bytes()).unwrap();
                }
                match write {
                    true => scope.device_region_mut(output.bytes_mut()),
                    false => scope.device_region(output.bytes()),
                };
                scope.replay(&graph)
            })
            .unwrap()
    };
    for (read, write) in [(false, true), (true, false)] {
        let error = replay(read, write).unwrap_err();
        assert!(matches!(error, CudaError::Region { .. }), "{error}");
    }
    assert_eq!(stub.count("cuGraphLaunch"), 0);
    replay(true, true).unwrap();
    assert_eq!(stub.count("cuGraphLaunch"), 1);
    input.bytes_mut()[0] = 1;
}

#[test]
fn a_graph_runs_on_its_stream_only() {
    let Some(stub) = Stub::build(&[]) else {
        return;
    };
    let context = stub.context();
    let [own, other] = [(); 2].map(|()| Stream::new(&context).unwrap());
    let graph = own.capture(|_| Ok(())).unwrap();
    let error = other.scope(|scope| scope.replay(&graph)).unwrap();
    assert!(matches!(error, Err(CudaError::ForeignStream)), "{error:?}");
    own.scope(|scope| scope.replay(&graph)).unwrap().unwrap();
    assert_eq!(stub.count("cuGraphLaunch"), 1);
}
