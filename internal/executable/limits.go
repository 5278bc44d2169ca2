package executable

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Limits bound each program that is started. The zero value sets none.
type Limits struct {
	// Memory is the address space in bytes, CPU the time on processors, Files
	// the number of open files; each of one process, 0 for no limit.
	Memory int64
	CPU    time.Duration
	Files  int

	credential *syscall.Credential
	name, home string
}

// As makes programs run as another user, given by name or number; only root may
// do that.
func (l Limits) As(who string) (Limits, error) {
	if who == "" {
		return l, nil
	}
	u, err := user.Lookup(who)
	if err != nil {
		if u, err = user.LookupId(who); err != nil {
			return l, fmt.Errorf("there is no user %q", who)
		}
	}
	if os.Geteuid() != 0 {
		return l, errors.New("only a worker that runs as root can start programs as another user")
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return l, fmt.Errorf("user %q has no number: %w", who, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return l, fmt.Errorf("user %q has no group: %w", who, err)
	}
	l.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}}
	l.name, l.home = u.Username, u.HomeDir
	return l, nil
}

// identity is what the environment says of the user.
func (l *Limits) identity() []string {
	if l.credential == nil {
		return nil
	}
	return []string{"HOME=" + l.home, "USER=" + l.name}
}

// apply sets the limits of a program that is about to be started in its
// working directory dir, which becomes its user's.
func (l *Limits) apply(cmd *exec.Cmd, dir string) error {
	// A shell sets the limits and then becomes the program, so that there is no
	// moment without them. What it runs comes as arguments, never as text.
	var script strings.Builder
	if l.Memory > 0 {
		fmt.Fprintf(&script, "ulimit -v %d\n", max(1, l.Memory>>10))
	}
	if l.CPU > 0 {
		s := int64((l.CPU + time.Second - 1) / time.Second)
		fmt.Fprintf(&script, "ulimit -S -t %d\nulimit -H -t %d\n", s, s+2) // SIGXCPU first, then SIGKILL
	}
	if l.Files > 0 {
		fmt.Fprintf(&script, "ulimit -n %d\n", l.Files)
	}
	if script.Len() > 0 {
		cmd.Args = append([]string{"sh", "-c", "set -e\n" + script.String() + `exec "$@"`, "sh", cmd.Path}, cmd.Args[1:]...)
		cmd.Path = "/bin/sh"
	}
	if l.credential == nil {
		return nil
	}
	cmd.SysProcAttr.Credential = l.credential
	if dir == "" {
		return nil
	}
	return os.Chown(dir, int(l.credential.Uid), int(l.credential.Gid))
}
