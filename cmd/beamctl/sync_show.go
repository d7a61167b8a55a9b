package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/beamctl/beamctl/checks"
	"github.com/beamctl/beamctl/launcher"
)

// showSync shows what a sync has done.
func (a *app) showSync(rep *launcher.SyncReport) error {
	if a.output == "json" {
		return a.json(rep)
	}
	if len(rep.Nodes) == 0 {
		return nil
	}
	on := a.color(a.outTTY)
	rows := make([][]string, 0, len(rep.Nodes))
	var notes noteList
	for _, n := range rep.Nodes {
		state := string(n.State)
		switch n.State {
		case launcher.Synced:
			state = paint(on, green, state)
		case launcher.Mixed, launcher.Unknown:
			state = paint(on, red, state)
		case launcher.Outdated, launcher.Down, launcher.NoCode:
			state = paint(on, yellow, state)
		}
		rows = append(rows, []string{n.Node, state, orDash(names(n.Pushed)), orDash(names(n.Deleted)), orDash(refusedNames(n)), orDash(fmt.Sprint(n.Same)), orDash(size(n.Bytes))})
		notes.of(n)
	}
	header := []string{"NODE", "STATE", "PUSHED", "DELETED", "REFUSED", "SAME", "SENT"}
	if err := table(a.out, a.outWidth(), header, rows, "SENT", "SAME"); err != nil {
		return err
	}
	if len(notes.texts) > 0 {
		if _, err := fmt.Fprintf(a.out, "\n%s", wrap(notes.text(len(rep.Nodes)), a.outWidth())); err != nil {
			return err
		}
	}
	if rep.Error == "" {
		a.say("%s", syncText(rep))
	}
	for _, s := range rep.Stale {
		a.say("%s: %s; --compile builds first", paint(a.color(a.errTTY), yellow, "but"), s)
	}
	return nil
}

func refusedNames(n *launcher.NodeSync) string {
	var out []string
	for _, r := range n.Refused {
		out = append(out, string(r.Module))
	}
	return names(out)
}

// maxNames is how many modules one line names.
const maxNames = 4

// names shows the first of some names.
func names(all []string) string {
	if len(all) <= maxNames {
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%s +%d", strings.Join(all[:maxNames], " "), len(all)-maxNames)
}

// size shows a number of bytes.
func size(n int) string {
	switch {
	case n == 0:
		return ""
	case n < 10<<10:
		return fmt.Sprintf("%dB", n)
	case n < 10<<20:
		return fmt.Sprintf("%dK", n>>10)
	}
	return fmt.Sprintf("%dM", n>>20)
}

// noteList is what there is to say of nodes that is no column, each thing once.
type noteList struct {
	texts []string
	nodes map[string][]string // text → of whom it is said
}

func (l *noteList) add(n *launcher.NodeSync, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if l.nodes == nil {
		l.nodes = make(map[string][]string)
	}
	if l.nodes[text] == nil {
		l.texts = append(l.texts, text)
	}
	l.nodes[text] = append(l.nodes[text], n.Node)
}

// of adds what there is to say of a node.
func (l *noteList) of(n *launcher.NodeSync) {
	for _, r := range n.Refused {
		l.add(n, "%s refused: %s", r.Module, r.Detail)
	}
	for _, p := range n.Killed {
		l.add(n, "%s %s killed: it ran old code of %s, in %s", p.Pid, p.Name, p.Module, p.Function)
	}
	for _, text := range n.Unchanged {
		l.add(n, "did not convert its state: %s", text)
	}
	for _, text := range n.Unwritten {
		l.add(n, "not written: %s", text)
	}
	for _, c := range n.Apps {
		l.add(n, "%s (takes a restart)", c)
	}
	if n.Problem != "" {
		l.add(n, "%s", n.Problem)
	}
}

// text shows a line for each thing.
func (l *noteList) text(nodes int) string {
	var b strings.Builder
	for _, text := range l.texts {
		who := strings.Join(l.nodes[text], ", ")
		if len(l.nodes[text]) == nodes && nodes > 1 {
			who = "all"
		}
		fmt.Fprintf(&b, "%s: %s\n", who, text)
	}
	return b.String()
}

// syncText says in a line what a sync has done.
func syncText(rep *launcher.SyncReport) string {
	up, down, to, sent := 0, 0, 0, 0
	for _, n := range rep.Nodes {
		switch n.State {
		case launcher.Down:
			down++
		case launcher.NoCode:
		default:
			up++
		}
		if len(n.Pushed)+len(n.Deleted) > 0 {
			to++
			sent += n.Bytes
		}
	}
	absent := ""
	if down > 0 {
		absent = fmt.Sprintf(" (%d not running)", down)
	}
	changed := rep.Changes()
	switch {
	case len(changed) == 0:
		return fmt.Sprintf("%s in sync%s, found in %.0f ms", plural(up, "node"), absent, rep.Millis)
	case rep.DryRun:
		return fmt.Sprintf("would push %s (%s) to %s%s", plural(len(changed), "module"), names(changed), plural(to, "node"), absent)
	}
	return fmt.Sprintf("pushed %s (%s) to %s%s in %.0f ms: %s sent, staged in %.0f, loaded in %.0f", plural(len(changed), "module"), names(changed),
		plural(to, "node"), absent, rep.Millis, orDash(size(sent)), 1000*rep.Took.Stage, 1000*rep.Took.Commit)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// showSyncEvent shows in a line what has happened.
func (a *app) showSyncEvent(e launcher.SyncEvent) {
	if a.output == "json" {
		_ = a.jsonLine(e)
		return
	}
	text := e.Error
	switch e.What {
	case launcher.SyncStart, launcher.SyncChanged:
		text = syncText(e.Report)
	case launcher.SyncJoined:
		if text = e.Node + " is there, and in sync"; len(e.Report.Changes()) > 0 {
			text = e.Node + " is there: " + syncText(e.Report)
		}
	case launcher.SyncLeft:
		text = e.Node + " is gone"
	case launcher.SyncFailed:
		if f, ok := errors.AsType[*checks.Finding](e.Err); ok {
			saw, _, _ := strings.Cut(f.Saw, "\n")
			text = strings.TrimSuffix(f.What+": "+saw, ": ")
		}
		text = paint(a.color(a.outTTY), red, text)
	}
	fmt.Fprintf(a.out, "%s  %s\n", e.Time.Local().Format("15:04:05"), text)
}
