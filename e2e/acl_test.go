package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/orchis-run/orchis/internal/redistest"
	"github.com/orchis-run/orchis/pkg/client"
)

var userLine = regexp.MustCompile(`(?m)^ACL SETUSER (orchis-[a-z]+) reset on >(\S+) .*$`)

// TestTheUsersOfTheSecurityPageCanDoTheirPartOnly applies the lines of
// SECURITY.md to a Redis in which nobody else may do anything.
func TestTheUsersOfTheSecurityPageCanDoTheirPartOnly(t *testing.T) {
	t.Parallel()
	needs(t, "redis-server", "redis-cli")
	page, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	srv := redistest.Real(t)
	cli := func(args ...string) string {
		out, err := exec.Command("redis-cli", append([]string{"-s", srv.Socket(), "--no-auth-warning"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	passwords := map[string]string{}
	for _, m := range userLine.FindAllStringSubmatch(string(page), -1) {
		if got := cli(strings.Fields(m[0])...); got != "OK" {
			t.Fatalf("%s: %s", m[0], got)
		}
		passwords[m[1]] = m[2]
	}
	if len(passwords) != 4 {
		t.Fatalf("the page has %v", passwords)
	}
	url := func(user string) string { return "unix://" + user + ":" + passwords[user] + "@" + srv.Socket() }
	as := func(user string, args ...string) string {
		return cli(append([]string{"--user", user, "--pass", passwords[user]}, args...)...)
	}

	// Before an orchestrator has begun, the others say what is missing.
	if _, err := client.Open(t.Context(), client.Config{URL: url("orchis-submitter")}); err == nil || !strings.Contains(err.Error(), "an orchestrator must start first") {
		t.Errorf("on an empty Redis a submitter gets %v", err)
	}

	h := &house{t: t, redis: srv, data: t.TempDir(), procs: map[string]*process{}}
	if h.project, err = filepath.Abs(".."); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	h.start("o1", "orchestrator", "REDIS_URL="+url("orchis-orchestrator"), "ORCHIS_LISTEN="+address)
	h.until("the orchestrator has begun", func() bool { return as("orchis-operator", "HGET", "orchis:meta", "epoch") != "" })
	if h.client, err = client.Open(t.Context(), client.Config{URL: url("orchis-operator")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.client.Close() })
	h.start("w1", "worker", "REDIS_URL="+url("orchis-worker"))
	h.until("the worker is registered", func() bool {
		all, err := h.client.Workers(t.Context())
		return err == nil && len(all) == 1
	})
	h.until("the submitter's command is taken", func() bool {
		id := h.orchisWith([]string{"REDIS_URL=" + url("orchis-submitter")}, "submit", "hello", "-i", "name=Ada", "--id", "acl-1")
		return strings.TrimSpace(id) == "acl-1"
	})
	h.succeeded("acl-1")
	if log := cli("ACL", "LOG"); strings.Contains(log, "orchis:inbox:") {
		t.Errorf("somebody may not use an inbox: %s", log)
	}
	failing := h.submit(client.Request{Definition: "jobs:\n  a: {job: exec, retries: 0, inputs: {command: 'echo said; exit 3'}}\n"})
	h.wait(failing)
	if log := h.orchisWith([]string{"REDIS_URL=" + url("orchis-operator")}, "logs", failing); !strings.Contains(log, "said") {
		t.Errorf("the operator reads %q", log)
	}
	// What the API and the dashboard ask is asked as the orchestrator.
	for where, text := range h.surface(address, "", failing) {
		if strings.Contains(text, "NOPERM") {
			t.Errorf("%s: %.500s", where, text)
		}
	}
	h.emptied(as)

	for user, commands := range map[string][]string{
		"orchis-submitter": {
			"XADD orchis:control * op cancel run acl-1", "XADD orchis:{0}:tickets:default * v 1", "XADD orchis:{0}:events * v 1", "XRANGE orchis:submit - +",
			"HGETALL orchis:{0}:run:acl-1", "HSET orchis:meta schema 2", "HGETALL orchis:workers", "GET x", "SET x y", "KEYS *", "FLUSHALL", "XDEL orchis:submit 1-1",
			"EVAL return(1) 0", "CONFIG GET *", "DEL orchis:submit", "HSET orchis:submission:1-1 state accepted", "SCAN 0", "PUBLISH a b", "CLIENT LIST", "MULTI",
		},
		"orchis-worker": {
			"XADD orchis:{0}:tickets:default * v 1", "HSET orchis:{0}:run:acl-1 state failed", "HSET orchis:{0}:run:acl-1:tasks a x", "HSET orchis:{0}:run:acl-1:outputs a 1",
			"HGETALL orchis:{0}:run:acl-1", "XADD orchis:submit * recipe hello", "XADD orchis:control * op cancel", "SET orchis:{0}:definition:x y", "SET orchis:{0}:owner w",
			"ZADD orchis:{0}:timers 1 x", "HSET orchis:meta epoch x", "XREAD STREAMS orchis:{0}:events 0", "DEL orchis:{0}:tickets:default", "EVAL return(1) 0", "FLUSHALL",
			"KEYS *", "CONFIG SET maxmemory 1", "RPUSH orchis:{0}:run:acl-1:changes x", "EXPIRE orchis:{0}:run:acl-1 1", "SUBSCRIBE x",
		},
		"orchis-orchestrator": {"FLUSHALL", "FLUSHDB", "CONFIG GET *", "KEYS *", "SET other x", "ACL LIST", "SHUTDOWN", "BGREWRITEAOF", "REPLICAOF NO ONE", "EVAL return(redis.call('set','other','x')) 0"},
		"orchis-operator":     {"XADD orchis:{0}:tickets:default * v 1", "HSET orchis:{0}:run:acl-1 state failed", "XDEL orchis:submit 1-1", "DEL orchis:meta", "FLUSHALL", "GET other", "CONFIG GET *"},
	} {
		for _, command := range commands {
			if got := as(user, strings.Fields(command)...); !strings.Contains(got, "NOPERM") && !strings.Contains(got, "The user executing the script can't") {
				t.Errorf("%s may do %s: %s", user, command, got)
			}
		}
	}
	for user, command := range map[string]string{"orchis-submitter": "XADD orchis:submit * recipe hello", "orchis-operator": "HGETALL orchis:{0}:run:acl-1"} {
		if got := as(user, strings.Fields(command)...); strings.Contains(got, "NOPERM") {
			t.Errorf("%s may not do %s: %s", user, command, got)
		}
	}
	if err := h.procs["w1"].cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	h.until("the worker has left", func() bool {
		all, err := h.client.Workers(t.Context())
		return err == nil && len(all) == 0
	})
	for name, p := range h.procs {
		if log := p.log.String(); strings.Contains(log, "NOPERM") {
			t.Errorf("%s says %s", name, log)
		}
	}
}

// emptied is quiet as a user who may only read.
func (h *house) emptied(as func(user string, args ...string) string) {
	h.t.Helper()
	for _, key := range []string{"orchis:{0}:events", "orchis:{0}:tickets:default", "orchis:submit"} {
		h.until(key+" is empty", func() bool { return as("orchis-operator", "XLEN", key) == "0" })
	}
}
