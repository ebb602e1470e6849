//! The filter against a machine of our own that runs it as the kernel does, call by call.

use super::*;

/// A call as the filter sees it.
#[derive(Clone, Copy)]
struct Call {
    architecture: u32,
    number: u32,
    arguments: [u64; 6],
}

fn call(number: libc::c_long, arguments: &[u64]) -> Call {
    let mut call = Call { architecture: NATIVE.unwrap(), number: number as u32, arguments: [0; 6] };
    call.arguments[..arguments.len()].copy_from_slice(arguments);
    call
}

/// Runs the filter; a jump or load that leads out of it panics, as the kernel would refuse to load it.
fn answer(call: Call) -> u32 {
    let program = filter().unwrap();
    let mut words = vec![call.number, call.architecture, 0, 0];
    words.extend(call.arguments.iter().flat_map(|it| [*it as u32, (*it >> 32) as u32]));
    let (mut at, mut loaded) = (0, 0);
    loop {
        let it = program[at];
        at += 1;
        let code = u32::from(it.code);
        let jump = |holds: bool| usize::from(if holds { it.jt } else { it.jf });
        let comparison = libc::BPF_JMP | libc::BPF_K;
        match code {
            _ if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                loaded = words[it.k as usize / 4];
            }
            _ if code == libc::BPF_ALU | libc::BPF_AND | libc::BPF_K => loaded &= it.k,
            _ if code == libc::BPF_RET | libc::BPF_K => return it.k,
            _ if code == comparison | libc::BPF_JEQ => at += jump(loaded == it.k),
            _ if code == comparison | libc::BPF_JGE => at += jump(loaded >= it.k),
            _ if code == comparison | libc::BPF_JSET => at += jump(loaded & it.k != 0),
            _ => panic!("no such instruction: {code:#x}"),
        }
    }
}

const EPERM: u32 = refuse(libc::EPERM);
const ENOSYS: u32 = refuse(libc::ENOSYS);
const EAFNOSUPPORT: u32 = refuse(libc::EAFNOSUPPORT);

#[test]
fn every_listed_call_is_refused_whatever_its_arguments() {
    for number in refused() {
        for argument in [0, 1, u64::MAX] {
            assert_eq!(answer(call(number, &[argument; 6])), EPERM, "call {number}");
        }
    }
}

#[test]
fn every_other_call_up_to_x32_is_allowed_unless_it_is_judged() {
    let judged = [
        SYS_clone,
        SYS_clone3,
        libc::SYS_unshare,
        SYS_ioctl,
        SYS_personality,
        SYS_socket,
        SYS_socketpair,
    ];
    let judged = judged.into_iter().chain(OF_A_PROCESS).chain(OF_A_KIND.map(|it| it.0));
    let listed: Vec<libc::c_long> = refused().chain(judged).collect();
    let others = (0..600).filter(|number| !listed.contains(number));
    let mut n_others = 0;
    for number in others {
        assert_eq!(answer(call(number, &[u64::MAX; 6])), ALLOW, "call {number}");
        n_others += 1;
    }
    assert_eq!(n_others, 600 - listed.len(), "a call is listed twice, or has no number");
}

#[test]
fn calls_of_another_architecture_and_of_x32_do_not_exist() {
    let i386 = 0x4000_0003;
    let arm = 0x4000_0028;
    for architecture in [i386, arm, 0, NATIVE.unwrap() ^ 0x8000_0000] {
        for number in [0, 1, 39, 120, 425] {
            assert_eq!(answer(Call { architecture, ..call(number, &[]) }), ENOSYS);
        }
    }
    for number in [0x4000_0000, 0x4000_0000 | 39, 0x4000_0000 | 512, 0xffff_ffff] {
        assert_eq!(answer(call(number, &[])), ENOSYS);
    }
}

#[test]
fn threads_and_processes_can_be_made_and_namespaces_cannot() {
    let thread = 0x003d_0f00;
    let (fork, vfork) = (17, 0x4111);
    for flags in [thread, fork, vfork, 0] {
        assert_eq!(answer(call(SYS_clone, &[flags])), ALLOW, "{flags:#x}");
    }
    for namespace in
        [0x2_0000, 0x200_0000, 0x400_0000, 0x800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]
    {
        assert_eq!(answer(call(SYS_clone, &[namespace | fork])), EPERM, "{namespace:#x}");
        // Bits that the kernel does not look at change nothing.
        assert_eq!(answer(call(SYS_clone, &[namespace | 1 << 40])), EPERM);
        assert_eq!(answer(call(libc::SYS_unshare, &[namespace])), EPERM);
    }
    assert_eq!(answer(call(libc::SYS_unshare, &[0x80])), EPERM, "the time namespace");
    assert_eq!(
        answer(call(libc::SYS_unshare, &[0x600])),
        ALLOW,
        "files and directories of its own"
    );
    assert_eq!(answer(call(SYS_clone3, &[0])), ENOSYS);
}

#[test]
fn sockets_of_three_families_and_routes_can_be_made() {
    for number in [SYS_socket, SYS_socketpair] {
        for family in [1, 2, 10, 2 | 1 << 32] {
            assert_eq!(answer(call(number, &[family, 1, 6])), ALLOW, "{family}");
        }
        assert_eq!(answer(call(number, &[1, 5, 77])), ALLOW, "unix sockets of any kind");
        assert_eq!(answer(call(number, &[16, 3, 0])), ALLOW, "routes");
        for protocol in [4, 9, 12, 15, 16] {
            assert_eq!(answer(call(number, &[16, 3, protocol])), EAFNOSUPPORT, "{protocol}");
        }
        for family in [0, 3, 9, 17, 29, 30, 31, 38, 40, 43, 44, 45, u64::MAX] {
            assert_eq!(answer(call(number, &[family, 3, 0])), EAFNOSUPPORT, "{family}");
        }
    }
}

#[test]
fn internet_sockets_are_of_the_plain_kinds_and_protocols() {
    let refused = refuse(libc::EPROTONOSUPPORT);
    let (non_blocking, close_on_exec) = (0x800, 0x8_0000);
    for family in [2, 10] {
        for (kind, protocol) in [(1, 0), (1, 6), (2, 0), (2, 17), (2, 1), (2, 58), (3, 1)] {
            let kind = kind | non_blocking | close_on_exec;
            assert_eq!(answer(call(SYS_socket, &[family, kind, protocol])), ALLOW, "{kind}");
        }
        // Multipath TCP, SCTP by number and by kind, DCCP, the raw protocol.
        for (kind, protocol) in
            [(1, 262), (1, 132), (5, 0), (6, 0), (6, 33), (3, 255), (0, 0), (15, 6)]
        {
            let met = answer(call(SYS_socket, &[family, kind, protocol]));
            assert_eq!(met, refused, "{kind}, {protocol}");
        }
    }
}

#[test]
fn the_first_process_is_neither_limited_nor_scheduled() {
    for number in OF_A_PROCESS {
        assert_eq!(answer(call(number, &[1])), EPERM);
        assert_eq!(answer(call(number, &[1 | 1 << 32])), EPERM, "the kernel takes 32 bits of it");
        for pid in [0, 2, 4_000_000] {
            assert_eq!(answer(call(number, &[pid])), ALLOW, "{pid}");
        }
    }
    for (number, one_process) in OF_A_KIND.map(|(number, kind)| (number, u64::from(kind))) {
        assert_eq!(answer(call(number, &[one_process, 0])), ALLOW);
        assert_eq!(answer(call(number, &[one_process, 7])), ALLOW);
        assert_eq!(answer(call(number, &[one_process, 1])), EPERM);
        for kind in [one_process + 1, one_process + 2] {
            assert_eq!(answer(call(number, &[kind, 0])), EPERM, "a group, or everyone");
        }
    }
}

#[test]
fn no_case_is_longer_than_a_jump() {
    // A case is jumped over by one byte; one that did not fit would let what follows run into its middle.
    let mut case = Program(Vec::new());
    socket(&mut case);
    assert!(case.0.len() < 255, "{}", case.0.len());
}

#[test]
fn terminals_cannot_be_typed_into_and_personalities_stay() {
    for command in [0x5412, 0x541c, 0x5412 | 1 << 32] {
        assert_eq!(answer(call(SYS_ioctl, &[0, command])), EPERM);
    }
    for command in [0x5401, 0x5413, 0x541b] {
        assert_eq!(answer(call(SYS_ioctl, &[0x5412, command])), ALLOW);
    }
    assert_eq!(answer(call(SYS_personality, &[0])), ALLOW);
    assert_eq!(answer(call(SYS_personality, &[0xffff_ffff])), ALLOW);
    for personality in [0x4_0000, 0x40_0000, 8] {
        assert_eq!(answer(call(SYS_personality, &[personality])), EPERM);
    }
}

#[test]
fn the_program_is_well_within_the_kernels_bound() {
    assert!(filter().unwrap().len() < 4096 / 8);
}
