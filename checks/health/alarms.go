package health

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/beamctl/beamctl/dist/etf"
)

var alarmChecks = []*Check{
	{
		Name: "alarms", Group: Alarms,
		What: "no alarm is raised; os_mon raises those for memory and disks, and RabbitMQ its own", Asks: "alarm_handler:get_alarms/0, only where sasl runs; rabbit_alarm:get_alarms/0, only where rabbit runs",
		Fails: "warns when there is an alarm", Fix: "remove what it tells of; an alarm is cleared by who raised it (alarm_handler:clear_alarm/1)",
		run: alarms,
	},
	{
		Name: "log", Group: Alarms,
		What: "no error was logged since the node started; only for nodes whose log beamctl keeps", Asks: "erlang:statistics/1; the log is read",
		Fails: "warns when there is one", Fix: "beamctl diagnose groups what the logs say; beamctl logs NODE shows it",
		run: errorReports,
	},
}

// alarmSources are where alarms are kept, each with what it means that there is one.
var alarmSources = []struct {
	app, module etf.Atom
	cause       string
}{
	{"sasl", "alarm_handler", "raised on the node and not cleared"},
	{"rabbit", "rabbit_alarm", "while RabbitMQ raises an alarm for memory (over vm_memory_high_watermark) or a disk (below disk_free_limit), nobody in its cluster can publish"},
}

func alarms(ctx context.Context, x *exam) (Cell, error) {
	var raised, causes []string
	asked, why := false, "sasl does not run"
	for _, src := range alarmSources {
		if is, err := runs(ctx, x, src.app); err != nil {
			return Cell{}, x.failed(err, whichCall, "")
		} else if !is {
			continue
		}
		var got etf.Term
		if err := x.call(ctx, &got, src.module, "get_alarms"); err != nil {
			return Cell{}, x.failed(err, string(src.module)+":get_alarms()", "the node's alarm_handler hangs or was ended")
		}
		list, ok := got.(etf.List)
		if !ok { // {error, bad_module}
			why = "the application has an alarm handler of its own"
			continue
		}
		asked = true
		before := len(raised)
		for _, a := range list {
			if id, ours := alarm(a, x.t.Name); ours {
				raised = append(raised, id)
			}
		}
		if len(raised) > before {
			causes = append(causes, src.cause)
		}
	}
	if !asked {
		return none("%s", why)
	}
	c := Cell{Status: OK, Saw: "none", Values: map[string]float64{"alarms": float64(len(raised))}}
	if len(raised) > 0 {
		c.Status, c.Saw, c.Cause = Warn, listed(raised), strings.Join(causes, "; ")
	}
	return c, nil
}

// alarm tells which one it is, and whether it is this node's own: {Id, Description}, where Id is {resource_limit, What, Node} of what RabbitMQ
// knows of its whole cluster.
func alarm(a etf.Term, name string) (id string, ours bool) {
	what := a
	if t, ok := a.(etf.Tuple); ok && len(t) == 2 {
		what = t[0]
	}
	if t, ok := what.(etf.Tuple); ok && len(t) == 3 && t[0] == etf.Atom("resource_limit") {
		return "resource_limit " + etf.Format(t[1]), t[2] == etf.Atom(name)
	}
	return etf.FormatOptions{MaxBytes: maxID}.Format(what), true
}

// Log is what the log of a node says of errors since the node was started.
type Log struct {
	Errors  int
	Example string // of an error, as it was logged; may have several lines
	Where   string // the example is: file:line
	Last    time.Time
}

// ErrNoLog says that the log of a node cannot be read from here.
var ErrNoLog = errors.New("not readable from here")

func errorReports(ctx context.Context, x *exam) (Cell, error) {
	up, err := uptime.of(ctx, x)
	if err != nil {
		return Cell{}, x.failed(err, "erlang:statistics(wall_clock)", "")
	}
	if x.log == nil {
		return none("%v", ErrNoLog)
	}
	l, err := x.log(ctx, x.t.Name, time.Now().Add(-up))
	if errors.Is(err, ErrNoLog) {
		return none("%v", err)
	}
	if err != nil {
		return Cell{}, err
	}
	c, _ := ok("%s", count(l.Errors, "error", "errors"))
	c.Values = map[string]float64{"errors": float64(l.Errors)}
	if l.Errors > 0 {
		c.Status = Warn
		c.Saw = fmt.Sprintf("%s; %s", count(l.Errors, "error", "errors"), oneLine(l.Example))
		if l.Where != "" {
			c.Saw += " (" + l.Where + ")"
		}
		c.Cause = "logged since the node was started"
		if !l.Last.IsZero() {
			c.Cause += fmt.Sprintf("; the last one %v ago", time.Since(l.Last).Round(time.Second))
		}
	}
	return c, nil
}

// oneLine is the beginning of a text, for a cell.
func oneLine(s string) string {
	line := strings.Join(strings.Fields(s), " ")
	if r := []rune(line); len(r) > maxID {
		return string(r[:maxID]) + "…"
	}
	return line
}
