package deploy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// world is a machine on which somebody follows docs/deploy.md: a copy of the
// repository, and programs that are played. docker compose starts processes
// (stack); sudo and systemctl work in a folder in place of /.
type world struct {
	t       *testing.T
	project string
	root    string
	stack   *stack
	shims   string
	socket  string
	ports   []string
	enabled []string
	applied []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, project: t.TempDir(), root: t.TempDir(), shims: t.TempDir()}
	for _, what := range []string{"Makefile", ".env-example", "recipes", "flows", "jobs", "deploy"} {
		copyIn(t, filepath.Join("..", what), filepath.Join(w.project, what))
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range played {
		if err := os.Symlink(self, filepath.Join(w.shims, name)); err != nil {
			t.Fatal(err)
		}
	}
	// make build wants Go and the sources; the programs are built already.
	script := "#!/bin/sh\nmkdir -p bin && cp " + programs(t) + "/* bin/\n"
	if err := os.WriteFile(filepath.Join(w.shims, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	w.ports = []string{"ORCHIS_PORT=" + strconv.Itoa(freePort(t)), "REDIS_PORT=" + strconv.Itoa(freePort(t))}
	w.listen()
	return w
}

// listen answers the played programs until the test ends.
func (w *world) listen() {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "orchis-world-") // a socket's path must be short
	if err != nil {
		w.t.Fatal(err)
	}
	w.socket = filepath.Join(dir, "s")
	l, err := net.Listen("unix", w.socket)
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			var o order
			if err := json.NewDecoder(c).Decode(&o); err == nil {
				_ = json.NewEncoder(c).Encode(w.do(o))
			}
			_ = c.Close()
		}
	}()
	w.t.Cleanup(func() {
		_ = l.Close()
		<-done
		_ = os.RemoveAll(dir)
	})
}

// shell runs lines as somebody types them, in the project's folder.
func (w *world) shell(script string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "sh", "-eu", "-c", script)
	cmd.Dir = w.project
	cmd.Env = append([]string{"PATH=" + w.shims + ":" + os.Getenv("PATH"), "HOME=" + w.root, "ORCHIS_TEST_SOCKET=" + w.socket}, w.ports...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%s: %v\n%s%s", script, err, out.String(), errs.String())
	}
	return out.String()
}

func failed(format string, args ...any) answer {
	return answer{Err: fmt.Sprintf(format, args...) + "\n", Code: 1}
}

func (w *world) do(o order) answer {
	switch o.Name {
	case "docker":
		if o.Args[0] == "build" {
			return w.build(o)
		}
		return w.compose(o)
	case "sudo":
		return w.sudo(o)
	case "systemctl":
		return w.systemctl(o.Args)
	case "kind", "kubectl":
		return w.kubernetes(o)
	}
	return failed("%s is not played", o.Name)
}

// build checks that docker build would find what it wants.
func (w *world) build(o order) answer {
	want := []string{"build", "-f", "deploy/Dockerfile", "--target", "", "-t", "", "."}
	if len(o.Args) != len(want) || o.Args[2] != want[2] || o.Args[6] != "orchis-"+o.Args[4] {
		return failed("docker %v", o.Args)
	}
	if _, ok := stages(w.t, "Dockerfile")[o.Args[4]]; !ok {
		return failed("the Dockerfile has no stage %s", o.Args[4])
	}
	return answer{}
}

// compose plays docker compose on processes.
func (w *world) compose(o order) answer {
	var file string
	var profiles []string
	args := o.Args[1:]
	for len(args) > 1 && strings.HasPrefix(args[0], "-") {
		switch args[0] {
		case "-f":
			file = filepath.Join(o.Dir, args[1])
		case "--profile":
			profiles = append(profiles, args[1])
		default:
			return failed("docker compose does not know %s", args[0])
		}
		args = args[2:]
	}
	p, err := project(w.t, file, profiles, o.Env...)
	if err != nil {
		return failed("%v", err)
	}
	if filepath.Base(file) != "docker-compose.yml" { // of another machine, which this is not
		return w.elsewhere(args, p.ServiceNames())
	}
	if w.stack == nil {
		w.stack = newStack(w.t, p)
	}
	switch args[0] {
	case "up":
		w.stack.project = p
		scale, err := scales(args[1:], p.ServiceNames())
		if err == nil {
			err = w.stack.up(scale)
		}
		if err != nil {
			return failed("%v", err)
		}
		return answer{}
	case "down":
		if err := w.stack.down(); err != nil {
			return failed("%v", err)
		}
		return answer{}
	case "exec":
		if len(w.stack.containers[args[1]]) == 0 {
			return failed("service %s is not running", args[1])
		}
		out, errs, code := w.stack.containers[args[1]][0].run(o.Stdin, args[2:]...)
		return answer{out, errs, code}
	case "ps", "logs":
		return w.look(args)
	}
	return failed("docker compose %s is not played", args[0])
}

func (w *world) look(args []string) (a answer) {
	for _, c := range w.stack.all() {
		text := c.name + "\n"
		if args[0] == "logs" {
			raw, err := os.ReadFile(c.log.Name())
			if err != nil {
				return failed("%v", err)
			}
			text = string(raw)
		}
		if len(args) < 2 || c.service.Name == args[1] {
			a.Out += text
		}
	}
	return a
}

// scales reads the flags of up.
func scales(args, services []string) (map[string]int, error) {
	out := map[string]int{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "--build", "--detach", "--wait":
		case "--scale":
			i++
			service, n, _ := strings.Cut(args[i], "=")
			count, err := strconv.Atoi(n)
			if err != nil || !slices.Contains(services, service) {
				return nil, fmt.Errorf("--scale %s", args[i])
			}
			out[service] = count
		default:
			return nil, fmt.Errorf("docker compose up does not know %s", args[i])
		}
	}
	return out, nil
}

func (w *world) elsewhere(args, services []string) answer {
	if args[0] != "up" {
		return failed("docker compose %v", args)
	}
	if _, err := scales(args[1:], services); err != nil {
		return failed("%v", err)
	}
	return answer{}
}

// sudo runs a command with the folders of the machine moved to the world's.
func (w *world) sudo(o order) answer {
	if o.Args[0] == "systemctl" {
		return w.systemctl(o.Args[1:])
	}
	args := slices.Clone(o.Args[1:])
	for i, a := range args {
		for _, dir := range []string{"/usr/local/bin", "/srv", "/etc"} {
			if strings.HasPrefix(a, dir) {
				args[i] = w.root + a
			}
		}
	}
	for _, dir := range []string{"/usr/local/bin", "/srv", "/etc/systemd/system"} { // which every machine has
		if err := os.MkdirAll(filepath.Join(w.root, dir), 0o755); err != nil {
			return failed("%v", err)
		}
	}
	cmd := exec.CommandContext(w.t.Context(), o.Args[0], args...)
	cmd.Dir = o.Dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return failed("%s: %v: %s", o.Args[0], err, out)
	}
	return answer{Out: string(out)}
}

func (w *world) systemctl(args []string) answer {
	switch {
	case args[0] == "daemon-reload":
		return answer{}
	case args[0] == "enable" && args[1] == "--now":
		for _, name := range args[2:] {
			file := name
			if template, _, ok := strings.Cut(name, "@"); ok {
				file = template + "@"
			}
			if _, err := os.Stat(filepath.Join(w.root, "etc/systemd/system", file+".service")); err != nil {
				return failed("%v", err)
			}
			w.enabled = append(w.enabled, name)
		}
		return answer{}
	}
	return failed("systemctl %v is not played", args)
}

// kubernetes checks that what kubectl is told exists.
func (w *world) kubernetes(o order) answer {
	line := strings.Join(append([]string{o.Name}, o.Args...), " ")
	w.applied = append(w.applied, line)
	if dir, ok := strings.CutPrefix(line, "kubectl apply -k "); ok {
		text, err := os.ReadFile(filepath.Join(o.Dir, dir, "secret.env"))
		for _, name := range []string{"REDIS_URL=redis://redis:6379\n", "ORCHIS_API_TOKEN=", "ORCHIS_SIGNING_KEY="} {
			if err != nil || !strings.Contains(string(text), name) {
				return failed("secret.env has no %s: %v", name, err)
			}
		}
		if _, err := os.Stat(filepath.Join(o.Dir, dir, "kustomization.yaml")); err != nil {
			return failed("%v", err)
		}
	}
	return answer{}
}
