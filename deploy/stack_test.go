package deploy

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	"golang.org/x/sync/errgroup"

	"github.com/orchis-run/orchis/internal/redistest"
)

// stack is what a compose file describes, as processes of this machine: each
// container is a folder with what its image has, a process with the command,
// the environment and, where the tests may, the user of the service, and a port
// of its own on 127.0.0.1 in place of an address of its own.
type stack struct {
	t       *testing.T
	dir     string
	project *types.Project
	images  map[string]stage
	bin     string
	// containers are those of each service.
	containers map[string][]*container
}

type container struct {
	service types.ServiceConfig
	name    string
	root    string
	port    int
	user    string
	env     []string
	cmd     *exec.Cmd
	log     *os.File
	// replaced are addresses and folders of the container, and what they are here.
	replaced *strings.Replacer
}

// newStack is a stack of the compose file, of which nothing runs yet.
func newStack(t *testing.T, p *types.Project) *stack {
	t.Helper()
	for _, program := range []string{"redis-server", "redis-cli"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	dir, err := os.MkdirTemp("", "orchis-stack-") //nolint:usetesting // other users must come in
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // for the users of containers
		t.Fatal(err)
	}
	s := &stack{t: t, dir: dir, project: p, images: stages(t, "Dockerfile"), bin: programs(t), containers: map[string][]*container{}}
	t.Cleanup(func() {
		s.killAll()
		_ = os.RemoveAll(dir)
	})
	return s
}

func (s *stack) killAll() {
	for _, c := range s.all() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
		text, err := os.ReadFile(c.log.Name())
		if s.t.Failed() && err == nil {
			s.t.Logf("log of %s:\n%s", c.name, text)
		}
	}
}

func (s *stack) all() (out []*container) {
	for _, service := range slices.Sorted(maps.Keys(s.containers)) {
		out = append(out, s.containers[service]...)
	}
	return out
}

// up starts what does not run yet, in the order of depends_on, and waits until
// all of it is healthy.
func (s *stack) up(scale map[string]int) error {
	var services []types.ServiceConfig
	for waiting := slices.Collect(maps.Values(s.project.Services)); len(waiting) > 0; {
		before := len(waiting)
		waiting = slices.DeleteFunc(waiting, func(sv types.ServiceConfig) bool {
			for on := range sv.DependsOn {
				if !slices.ContainsFunc(services, func(d types.ServiceConfig) bool { return d.Name == on }) {
					return false
				}
			}
			services = append(services, sv)
			return true
		})
		if len(waiting) == before {
			return fmt.Errorf("services wait for each other: %v", waiting)
		}
	}
	for _, service := range services {
		if len(service.Profiles) > 0 { // programs of others, which this machine need not have
			continue
		}
		count := 1
		if service.Deploy != nil && service.Deploy.Replicas != nil {
			count = *service.Deploy.Replicas
		}
		if n, ok := scale[service.Name]; ok {
			count = n
		}
		for len(s.containers[service.Name]) < count {
			s.start(service)
		}
		for _, c := range s.containers[service.Name] {
			if err := c.healthy(); err != nil {
				return err
			}
		}
	}
	return nil
}

// start makes a container and starts its command.
func (s *stack) start(service types.ServiceConfig) *container {
	s.t.Helper()
	c := &container{service: service, name: fmt.Sprintf("%s-%d", service.Name, len(s.containers[service.Name])+1)}
	c.root = filepath.Join(s.dir, c.name)
	c.port = published(service)
	if c.port == 0 {
		c.port = freePort(s.t)
	}
	s.furnish(c)
	log, err := os.Create(filepath.Join(s.dir, c.name+".log"))
	if err != nil {
		s.t.Fatal(err)
	}
	c.log = log
	argv := slices.Concat(s.entrypoint(service), service.Command)
	if service.Name == "redis" { // its address is 127.0.0.1 and a port
		argv = append(argv, "--bind", "127.0.0.1", "--port", strconv.Itoa(c.port))
	}
	c.cmd = c.command(argv)
	c.cmd.Stdout, c.cmd.Stderr = log, log
	if err := c.cmd.Start(); err != nil {
		s.t.Fatalf("start %s: %v", c.name, err)
	}
	s.containers[service.Name] = append(s.containers[service.Name], c)
	return c
}

func (s *stack) entrypoint(service types.ServiceConfig) []string {
	if service.Build == nil || len(service.Entrypoint) > 0 {
		return service.Entrypoint
	}
	return s.images[service.Build.Target].entrypoint
}

func published(service types.ServiceConfig) int {
	for _, p := range service.Ports {
		n, err := strconv.Atoi(p.Published)
		if err == nil {
			return n
		}
	}
	return 0
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// furnish makes the folder of a container: what its image has, its mounts, and
// its environment.
func (s *stack) furnish(c *container) {
	s.t.Helper()
	image := stage{env: map[string]string{}}
	if c.service.Build != nil {
		image = s.images[c.service.Build.Target]
	}
	c.user = image.user
	if err := os.RemoveAll(c.root); err != nil { // of one of this name that was stopped
		s.t.Fatal(err)
	}
	for _, dir := range []string{"usr/local/bin", "tmp", "data"} {
		s.folder(filepath.Join(c.root, dir), "")
	}
	s.folder(filepath.Join(c.root, "tmp"), c.user)
	for _, copied := range image.copies {
		for _, what := range copied.what {
			to := filepath.Join(c.root, copied.to)
			switch {
			case copied.owner != "":
				s.folder(to, copied.owner)
			case copied.from != "":
				s.link(filepath.Join(s.bin, filepath.Base(what)), filepath.Join(to, filepath.Base(what)))
			default:
				copyIn(s.t, filepath.Join("..", what), to)
			}
		}
	}
	if c.service.Build == nil {
		c.clients(s.t)
	}
	pairs := []string{"redis:6379", "127.0.0.1:" + strconv.Itoa(s.portOf("redis", c)), "/project", filepath.Join(c.root, "project")}
	for _, v := range c.service.Volumes {
		to := filepath.Join(c.root, v.Target)
		switch v.Type {
		case types.VolumeTypeBind:
			if err := os.RemoveAll(to); err != nil {
				s.t.Fatal(err)
			}
			copyIn(s.t, v.Source, to)
		case types.VolumeTypeVolume:
			to = filepath.Join(s.dir, "volume-"+v.Source)
			s.folder(to, image.user)
			pairs = append(pairs, v.Target, to)
		}
	}
	pairs = append(pairs, "0.0.0.0:8420", "127.0.0.1:"+strconv.Itoa(c.port), "0.0.0.0:8421", "127.0.0.1:"+strconv.Itoa(c.port))
	c.replaced = strings.NewReplacer(pairs...)
	env := maps.Clone(image.env)
	for name, v := range c.service.Environment {
		if v != nil {
			env[name] = *v
		}
	}
	for name, v := range env {
		c.env = append(c.env, name+"="+c.replaced.Replace(v))
	}
	c.env = append(c.env, "PATH="+filepath.Join(c.root, "usr/local/bin")+":/usr/local/bin:/usr/bin:/bin", "HOME="+filepath.Join(c.root, "tmp"), "TMPDIR="+filepath.Join(c.root, "tmp"))
}

// portOf is the port of a service's first container; the one that is being made
// counts already.
func (s *stack) portOf(service string, making *container) int {
	if making.service.Name == service {
		return making.port
	}
	if all := s.containers[service]; len(all) > 0 {
		return all[0].port
	}
	return 0
}

// clients puts a redis-cli into a container of Redis that asks its port.
func (c *container) clients(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nexec %s -p %d \"$@\"\n", program, c.port)
	if err := os.WriteFile(filepath.Join(c.root, "usr/local/bin/redis-cli"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (s *stack) folder(path, owner string) {
	s.t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if uid, gid, ok := numbers(owner); ok && os.Getuid() == 0 {
		if err := os.Chown(path, uid, gid); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *stack) link(from, to string) {
	s.t.Helper()
	if err := os.Symlink(from, to); err != nil {
		s.t.Fatal(err)
	}
}

func numbers(user string) (uid, gid int, ok bool) {
	u, g, _ := strings.Cut(user, ":")
	uid, err := strconv.Atoi(u)
	if err != nil {
		return 0, 0, false
	}
	gid, err = strconv.Atoi(g)
	return uid, gid, err == nil
}

// command is a command in the container: with its programs, environment, user
// and folder.
func (c *container) command(argv []string) *exec.Cmd {
	path := argv[0]
	for _, e := range c.env {
		if dirs, ok := strings.CutPrefix(e, "PATH="); ok && !strings.Contains(path, "/") {
			for _, dir := range filepath.SplitList(dirs) {
				if _, err := os.Stat(filepath.Join(dir, argv[0])); err == nil {
					path = filepath.Join(dir, argv[0])
					break
				}
			}
		}
	}
	cmd := exec.Command(path, argv[1:]...)
	cmd.Args[0], cmd.Env, cmd.Dir = argv[0], c.env, filepath.Join(c.root, "project")
	if c.service.Build == nil {
		cmd.Dir = c.replaced.Replace("/data")
	}
	if uid, gid, ok := numbers(c.user); ok && os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), NoSetGroups: true}}
	}
	return cmd
}

// run runs a command in the container as docker compose exec does.
func (c *container) run(stdin string, argv ...string) (stdout, stderr string, code int) {
	cmd := c.command(argv)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		return "", err.Error(), 127
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// healthy waits until the health check of the service succeeds, as long as it
// says.
func (c *container) healthy() error {
	check := c.service.HealthCheck
	wait := time.Duration(*check.StartPeriod) + time.Duration(*check.Interval)*time.Duration(*check.Retries)
	late := time.After(wait)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, said, code := c.run("", check.Test[1:]...)
		if code == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-late:
			return fmt.Errorf("%s is not healthy after %s: %s", c.name, wait, said)
		}
	}
}

// stop ends a container as docker does: SIGTERM, and SIGKILL when it takes
// longer than stop_grace_period.
func (c *container) stop() error {
	since := time.Now()
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", c.name, err)
	}
	kill := time.AfterFunc(time.Duration(*c.service.StopGracePeriod), func() { _ = c.cmd.Process.Kill() })
	defer kill.Stop()
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s ends after %s: %w", c.name, time.Since(since), err)
	}
	return nil
}

// down stops all, those first that no others wait for, those of a service at
// once. All must end by themselves, and well.
func (s *stack) down() error {
	for _, service := range []string{"worker", "orchestrator", "redis"} {
		var g errgroup.Group
		for _, c := range s.containers[service] {
			g.Go(c.stop)
		}
		if err := g.Wait(); err != nil {
			return err
		}
		delete(s.containers, service)
	}
	return nil
}

func (s *stack) until(what string, is func() bool) {
	s.t.Helper()
	redistest.Until(s.t, what, is)
}
