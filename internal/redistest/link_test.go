package redistest_test

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/orchis-run/orchis/internal/redistest"
)

// dial opens a connection that speaks to Redis in lines.
func dial(t *testing.T, socket string) (send func(string), reply func(time.Duration) string) {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	in := bufio.NewReader(c)
	send = func(line string) {
		if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
			t.Fatal(err)
		}
	}
	reply = func(d time.Duration) string {
		_ = c.SetReadDeadline(time.Now().Add(d))
		line, err := in.ReadString('\n')
		if err != nil {
			return "none"
		}
		return strings.TrimSpace(line)
	}
	return send, reply
}

// TestALinkIsBlockedOneWay: without requests nothing is done, without replies
// it is done and nobody hears of it; afterwards all comes through.
func TestALinkIsBlockedOneWay(t *testing.T) {
	t.Parallel()
	srv := redistest.Real(t)
	link := redistest.NewLink(t, srv, "link")
	send, reply := dial(t, strings.TrimPrefix(link.URL, "unix://"))
	ask, answer := dial(t, srv.Socket())
	count := func() string { ask("STRLEN k"); return answer(5 * time.Second) }

	link.Block(redistest.Requests)
	send("APPEND k x")
	if got := reply(50 * time.Millisecond); got != "none" || count() != ":0" {
		t.Errorf("without requests the reply is %s", got)
	}
	link.Block(0)
	if got := reply(5 * time.Second); got != ":1" {
		t.Errorf("the reply is %s", got)
	}
	link.Block(redistest.Replies)
	send("APPEND k x")
	redistest.Until(t, "the command is carried out", func() bool { return count() == ":2" })
	if got := reply(50 * time.Millisecond); got != "none" {
		t.Errorf("without replies the reply is %s", got)
	}
	link.Block(0)
	if got := reply(5 * time.Second); got != ":2" {
		t.Errorf("the reply is %s", got)
	}
	link.DropReply()
	send("APPEND k x")
	if got := reply(5 * time.Second); got != "none" || count() != ":3" {
		t.Errorf("the dropped reply is %s", got)
	}
}
