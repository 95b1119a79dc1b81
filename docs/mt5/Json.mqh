// A strict reader of JSON. It takes a whole document or refuses it; it never searches in the text.
//
// Every value is kept under its JSON Pointer (RFC 6901), such as "/signals/0/lots": a key is found where it belongs or
// not at all. Refused, with the place: escapes (this api sends none in a reply with signals), exponents, control
// characters, a key given twice, a tail, and anything beyond the bounds below.

#define JSON_MOST_CHARS  262144
#define JSON_MOST_VALUES 2000
#define JSON_MOST_DEPTH  8

enum JsonKind
{
   JSON_TEXT,
   JSON_NUMBER,
   JSON_WORD,      // true, false, null
   JSON_OBJECT,
   JSON_ARRAY
};

class CJson
{
private:
   string   m_text;
   int      m_at;
   string   m_error;
   string   m_pointers[];
   string   m_values[];      // of an array: how many it holds
   JsonKind m_kinds[];

   int      Here() const;
   bool     Fail(const string why);
   bool     Expect(const int character);
   void     SkipBlanks();
   bool     Keep(const string pointer, const JsonKind kind, const string value);
   bool     ReadValue(const string pointer, const int depth);
   bool     ReadObject(const string pointer, const int depth);
   bool     ReadMember(const string pointer, const int depth);
   bool     ReadArray(const string pointer, const int depth);
   bool     ReadString(string &value);
   bool     ReadNumber(string &value);
   int      SkipDigits();
   bool     ReadWord(string &value);
   int      Find(const string pointer, const JsonKind kind) const;

public:
   bool     Parse(const string text);
   string   Error() const { return m_error; }
   bool     Text(const string pointer, string &value) const;
   bool     Number(const string pointer, double &value) const;
   bool     Flag(const string pointer, bool &value) const;
   int      Length(const string pointer) const;
};

// Take up a document. False: it is refused, Error() says why, and nothing of it may be used.
bool CJson::Parse(const string text)
{
   m_text = text;
   m_at = 0;
   m_error = "";
   ArrayResize(m_pointers, 0);
   ArrayResize(m_values, 0);
   ArrayResize(m_kinds, 0);
   if(StringLen(text) > JSON_MOST_CHARS)
      return Fail("too long");
   SkipBlanks();
   if(!ReadValue("", 0))
      return false;
   SkipBlanks();
   return m_at == StringLen(m_text) || Fail("something follows the document");
}

// Give a string value. False: there is none at this place.
bool CJson::Text(const string pointer, string &value) const
{
   int found = Find(pointer, JSON_TEXT);
   if(found < 0)
      return false;
   value = m_values[found];
   return true;
}

// Give a number. False: there is none at this place.
bool CJson::Number(const string pointer, double &value) const
{
   int found = Find(pointer, JSON_NUMBER);
   if(found < 0)
      return false;
   value = StringToDouble(m_values[found]);
   return true;
}

// Give a truth value. False: there is none at this place; null is none.
bool CJson::Flag(const string pointer, bool &value) const
{
   int found = Find(pointer, JSON_WORD);
   if(found < 0 || m_values[found] == "null")
      return false;
   value = m_values[found] == "true";
   return true;
}

// Return how many values an array holds; -1 if there is no array at this place.
int CJson::Length(const string pointer) const
{
   int found = Find(pointer, JSON_ARRAY);
   return found < 0 ? -1 : (int)StringToInteger(m_values[found]);
}

int CJson::Find(const string pointer, const JsonKind kind) const
{
   for(int i = 0; i < ArraySize(m_pointers); i++)
      if(m_pointers[i] == pointer)
         return m_kinds[i] == kind ? i : -1;
   return -1;
}

bool CJson::Keep(const string pointer, const JsonKind kind, const string value)
{
   int count = ArraySize(m_pointers);
   if(count >= JSON_MOST_VALUES)
      return Fail("too many values");
   for(int i = 0; i < count; i++)
      if(m_pointers[i] == pointer)
         return Fail("a key is given twice: " + pointer);
   ArrayResize(m_pointers, count + 1, 256);
   ArrayResize(m_values, count + 1, 256);
   ArrayResize(m_kinds, count + 1, 256);
   m_pointers[count] = pointer;
   m_values[count] = value;
   m_kinds[count] = kind;
   return true;
}

bool CJson::ReadValue(const string pointer, const int depth)
{
   if(depth > JSON_MOST_DEPTH)
      return Fail("too deep");
   string value = "";
   int character = Here();
   if(character == '{')
      return ReadObject(pointer, depth);
   if(character == '[')
      return ReadArray(pointer, depth);
   if(character == '"')
      return ReadString(value) && Keep(pointer, JSON_TEXT, value);
   if(character == '-' || (character >= '0' && character <= '9'))
      return ReadNumber(value) && Keep(pointer, JSON_NUMBER, value);
   return ReadWord(value) && Keep(pointer, JSON_WORD, value);
}

bool CJson::ReadObject(const string pointer, const int depth)
{
   if(!Keep(pointer, JSON_OBJECT, "") || !Expect('{'))
      return false;
   SkipBlanks();
   if(Here() == '}')
      return Expect('}');
   while(ReadMember(pointer, depth))
   {
      if(Here() != ',')
         return Expect('}');
      m_at++;
      SkipBlanks();
   }
   return false;
}

bool CJson::ReadMember(const string pointer, const int depth)
{
   string key = "";
   if(!ReadString(key))
      return false;
   StringReplace(key, "~", "~0");
   StringReplace(key, "/", "~1");
   SkipBlanks();
   if(!Expect(':'))
      return false;
   SkipBlanks();
   if(!ReadValue(pointer + "/" + key, depth + 1))
      return false;
   SkipBlanks();
   return true;
}

bool CJson::ReadArray(const string pointer, const int depth)
{
   int place = ArraySize(m_pointers), count = 0;
   if(!Keep(pointer, JSON_ARRAY, "0") || !Expect('['))
      return false;
   SkipBlanks();
   if(Here() == ']')
      return Expect(']');
   while(ReadValue(pointer + "/" + IntegerToString(count), depth + 1))
   {
      count++;
      SkipBlanks();
      if(Here() != ',')
         break;
      m_at++;
      SkipBlanks();
   }
   m_values[place] = IntegerToString(count);
   return m_error == "" && Expect(']');
}

bool CJson::ReadString(string &value)
{
   if(!Expect('"'))
      return false;
   int begin = m_at;
   while(Here() != '"')
   {
      if(Here() < 32 || Here() == '\\')
         return Fail("a string holds what this reader refuses, or does not end");
      m_at++;
   }
   value = StringSubstr(m_text, begin, m_at - begin);
   return Expect('"');
}

bool CJson::ReadNumber(string &value)
{
   int begin = m_at;
   if(Here() == '-')
      m_at++;
   bool zero = Here() == '0';
   int whole = SkipDigits(), part = 1;
   if(Here() == '.')
   {
      m_at++;
      part = SkipDigits();
   }
   if(whole == 0 || part == 0 || (zero && whole > 1) || Here() == 'e' || Here() == 'E')
      return Fail("not a plain decimal");
   value = StringSubstr(m_text, begin, m_at - begin);
   return true;
}

int CJson::SkipDigits()
{
   int begin = m_at;
   while(Here() >= '0' && Here() <= '9')
      m_at++;
   return m_at - begin;
}

bool CJson::ReadWord(string &value)
{
   int begin = m_at;
   while(Here() >= 'a' && Here() <= 'z')
      m_at++;
   value = m_at > begin ? StringSubstr(m_text, begin, m_at - begin) : "";
   return value == "true" || value == "false" || value == "null" || Fail("no JSON value");
}

// Return the character at the place of reading; -1 at the end.
int CJson::Here() const
{
   return m_at < StringLen(m_text) ? (int)StringGetCharacter(m_text, m_at) : -1;
}

bool CJson::Expect(const int character)
{
   if(Here() != character)
      return Fail("expected character " + IntegerToString(character));
   m_at++;
   return true;
}

void CJson::SkipBlanks()
{
   while(Here() == ' ' || Here() == '\t' || Here() == '\r' || Here() == '\n')
      m_at++;
}

bool CJson::Fail(const string why)
{
   if(m_error == "")
      m_error = why + ", at character " + IntegerToString(m_at);
   return false;
}
