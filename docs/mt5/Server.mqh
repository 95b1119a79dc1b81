// The server, and the reports that wait for its 200.

#define OUTBOX_MOST 500
#define SAID_MOST   50
#define SAID_FOR_MS 60000

string g_said[];                  // lines that were printed within this minute
ulong  g_said_ms = 0;             // when it began

// Print a line, but the same one only once a minute: a refusal would come each second.
void Say(const string line)
{
   int count = ArraySize(g_said);
   if(count >= SAID_MOST || GetTickCount64() - g_said_ms >= SAID_FOR_MS)
   {
      count = 0;
      g_said_ms = GetTickCount64();
   }
   for(int i = 0; i < count; i++)
      if(g_said[i] == line)
         return;
   ArrayResize(g_said, count + 1);
   g_said[count] = line;
   Print(line);
}

class CServer
{
private:
   string m_url;
   string m_token;
   int    m_timeout_ms;

   int    Ask(const string method, const string path, const string body, string &reply);

public:
   void   Init(const string url, const string token, const int timeout_ms);
   int    Get(const string path, string &reply) { return Ask("GET", path, "", reply); }
   int    Post(const string path, const string body, string &reply) { return Ask("POST", path, body, reply); }
};

void CServer::Init(const string url, const string token, const int timeout_ms)
{
   m_url = url;
   m_token = token;
   m_timeout_ms = timeout_ms;
}

// Return the HTTP status; -1 if there was no answer, with the terminal's error as the reply (4014: the URL is not on
// its list).
int CServer::Ask(const string method, const string path, const string body, string &reply)
{
   // All made anew for each call: WebRequest leaves the reply's headers and bytes in what it was given.
   string headers = "Content-Type: application/json\r\n", answered = "";
   char   data[];
   char   result[];
   if(m_token != "")
      headers += "Authorization: Bearer " + m_token + "\r\n";
   if(body != "")
      ArrayResize(data, StringToCharArray(body, data, 0, WHOLE_ARRAY, CP_UTF8) - 1);   // without the closing zero
   int status = WebRequest(method, m_url + path, headers, m_timeout_ms, data, result, answered);
   if(status == -1)
      reply = "error " + IntegerToString(GetLastError());
   else
      reply = CharArrayToString(result, 0, WHOLE_ARRAY, CP_UTF8);
   return status;
}

// Reports in the order in which they arose. Each is sent until the server answers 200.
class COutbox
{
private:
   string m_paths[];
   string m_bodies[];

   void   DropFirst();

public:
   int    Waiting() const { return ArraySize(m_paths); }
   void   Add(const string path, const string body);
   void   Send(CServer &server);
};

void COutbox::Add(const string path, const string body)
{
   int count = ArraySize(m_paths);
   for(int i = 0; i < count; i++)
      if(m_paths[i] == path && m_bodies[i] == body)
         return;
   if(count >= OUTBOX_MOST)
   {
      Print("outbox full; the next start reports it again: ", body);
      return;
   }
   ArrayResize(m_paths, count + 1, 16);
   ArrayResize(m_bodies, count + 1, 16);
   m_paths[count] = path;
   m_bodies[count] = body;
}

// Send what waits, the oldest first; end at the first that is not taken. What the server calls wrong is put aside
// with an alert: sent again it would be wrong again, and hold up all others.
void COutbox::Send(CServer &server)
{
   string reply = "";
   while(Waiting() > 0)
   {
      int status = server.Post(m_paths[0], m_bodies[0], reply);
      bool wrong = status == 400 || status == 413 || status == 422;
      if(wrong)
         Alert("refused by the server: ", m_paths[0], " ", m_bodies[0], " ", reply);
      if(status != 200 && !wrong)
      {
         Say("report not taken, status " + IntegerToString(status) + " " + reply);
         return;
      }
      DropFirst();
   }
}

void COutbox::DropFirst()
{
   int count = ArraySize(m_paths);
   for(int i = 1; i < count; i++)
   {
      m_paths[i - 1] = m_paths[i];
      m_bodies[i - 1] = m_bodies[i];
   }
   ArrayResize(m_paths, count - 1);
   ArrayResize(m_bodies, count - 1);
}
