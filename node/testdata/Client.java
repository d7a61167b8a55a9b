import com.ericsson.otp.erlang.*;

/**
 * What jinterface does with a node of ours: it pings it, calls a function by rex, and calls a gen_server as OtpMbox and as OtpConnection.
 * Prints a line for each. Arguments: our own name, the node's.
 */
public class Client {
    static OtpErlangTuple tuple(OtpErlangObject... elements) {
        return new OtpErlangTuple(elements);
    }

    static OtpErlangObject atom(String name) {
        return new OtpErlangAtom(name);
    }

    public static void main(String[] args) throws Exception {
        String name = args[0], node = args[1];
        OtpNode self = new OtpNode(name);
        OtpMbox box = self.createMbox();
        System.out.println("ping " + box.ping(node, 10000));

        // gen_server:call, and one whose argument and answer are large: jinterface takes no fragments.
        OtpErlangRef ref = self.createRef();
        box.send("echo", node, tuple(atom("$gen_call"), tuple(box.self(), ref), tuple(atom("say"), new OtpErlangString("héllo"))));
        OtpErlangTuple reply = (OtpErlangTuple) box.receive(10000);
        System.out.println("gen_call " + reply.elementAt(0).equals(ref) + " " + reply.elementAt(1));
        byte[] large = new byte[200000];
        box.send("echo", node, tuple(atom("$gen_call"), tuple(box.self(), ref), new OtpErlangBinary(large)));
        reply = (OtpErlangTuple) box.receive(10000);
        System.out.println("large " + ((OtpErlangBinary) reply.elementAt(1)).size());

        // A link, whose other end says why it ends.
        box.send("echo", node, tuple(atom("$gen_call"), tuple(box.self(), ref), atom("self")));
        reply = (OtpErlangTuple) box.receive(10000);
        box.link((OtpErlangPid) reply.elementAt(1));
        box.send("echo", node, tuple(atom("$gen_cast"), atom("stop")));
        try {
            System.out.println("exit " + box.receive(10000));
        } catch (OtpErlangExit e) {
            System.out.println("exit " + e.reason());
        }
        self.close();

        OtpConnection connection = new OtpSelf("rpc" + name).connect(new OtpPeer(node));
        connection.sendRPC("go", "twice", new OtpErlangObject[] {tuple(new OtpErlangLong(-1), new OtpErlangDouble(1.5))});
        System.out.println("rpc " + connection.receiveRPC());
        connection.sendRPC("go", "nope", new OtpErlangObject[] {});
        System.out.println("rpc " + connection.receiveRPC());
        connection.close();
    }
}
