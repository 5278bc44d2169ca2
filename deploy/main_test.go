// Package deploy checks the files of this folder, and runs what they describe.
package deploy

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); slices.Contains(played, name) {
		os.Exit(call(name))
	}
	code := m.Run()
	if image.dir != "" {
		_ = os.RemoveAll(image.dir)
	}
	os.Exit(code)
}

// played are programs that this machine need not have: the test program is
// started under their names, and tells the test what it is to do.
var played = []string{"docker", "kind", "kubectl", "sudo", "systemctl"}

// order is what somebody wants of such a program, and answer what it says.
type order struct {
	Name, Dir, Stdin string
	Args, Env        []string
}

type answer struct {
	Out, Err string
	Code     int
}

// call asks the test at the other end of a socket.
func call(name string) int {
	dir, err := os.Getwd()
	if err != nil {
		return 126
	}
	o := order{Name: name, Dir: dir, Args: os.Args[1:], Env: os.Environ()}
	if info, err := os.Stdin.Stat(); err == nil && info.Mode().IsRegular() {
		text, _ := io.ReadAll(os.Stdin)
		o.Stdin = string(text)
	}
	var a answer
	c, err := net.Dial("unix", os.Getenv("ORCHIS_TEST_SOCKET"))
	if err == nil {
		err = json.NewEncoder(c).Encode(o)
	}
	if err == nil {
		err = json.NewDecoder(c).Decode(&a)
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, err)
		return 126
	}
	_, _ = io.WriteString(os.Stdout, a.Out)
	_, _ = io.WriteString(os.Stderr, a.Err)
	return a.Code
}
