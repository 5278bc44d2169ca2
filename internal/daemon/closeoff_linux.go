package daemon

import "syscall"

// closeOff keeps programs of the same user from reading this process: its
// memory, and its environment with the secrets in it. Root still can.
func closeOff() {
	const setDumpable = 4                                           // PR_SET_DUMPABLE
	_, _, _ = syscall.Syscall(syscall.SYS_PRCTL, setDumpable, 0, 0) // an old kernel does without
}
