-- Avatar Cam: hotkeys in OBS that switch and mute the avatar.
--
-- obs-websocket tells its clients of no hotkey. This script registers real OBS hotkeys (Settings >
-- Hotkeys, search for "Avatar") and publishes each press as
--   VendorEvent {vendorName = "avatar-cam", eventType = "hotkey",
--                eventData = {seq, action, slot, name, pressed}}
-- The vendor interface of obs-websocket is C only; it is reached through libobs with LuaJIT's ffi.
-- Where that fails, the press is published by renaming an input that is in no scene, which every
-- obs-websocket 5 reports as InputNameChanged: "avatar-cam:" followed by the same JSON.
-- The names in the hotkey list come from avatar_cam_names.txt beside this file, one per line,
-- which the Avatar Cam service writes.

local obs = obslua
local has_ffi, ffi = pcall(require, "ffi")

local VENDOR = "avatar-cam"
local SLOTS = 12
local NAMES_FILE = "avatar_cam_names.txt"
local REFRESH_MS = 2000

local names = {}
local hotkeys = {} -- id -> { handle = hotkey, slot = number or nil, label = function }
local library, websocket, vendor = nil, nil, nil
local messenger = nil -- the input that the second way renames
local second_way_only = false
local way, reason = "none", ""
local seq = 0

---------------------------------------------------------------- obs-websocket through ffi

local DECLARATIONS = [[
    typedef struct { uint8_t *stack; size_t size; size_t capacity; bool fixed; } avatar_cam_calldata;
    void *obs_get_proc_handler(void);
    bool proc_handler_call(void *handler, const char *name, avatar_cam_calldata *params);
    void calldata_set_data(avatar_cam_calldata *data, const char *name, const void *in, size_t size);
    bool calldata_get_data(const avatar_cam_calldata *data, const char *name, void *out, size_t size);
    void *obs_data_create_from_json(const char *json);
    void obs_data_release(void *data);
    void bfree(void *ptr);
]]

local function open_library()
    if not has_ffi then return nil, "this OBS has no ffi" end
    local declared, err = pcall(ffi.cdef, DECLARATIONS)
    if not declared and not tostring(err):find("redefine") then return nil, tostring(err) end
    local candidates = { false, "obs", "libobs.so.0", "libobs.so.30", "libobs.0.dylib", "libobs.framework/libobs",
        "@rpath/libobs.framework/Versions/A/libobs" }
    for _, candidate in ipairs(candidates) do
        local found, opened = pcall(function()
            local loaded = candidate and ffi.load(candidate) or ffi.C
            local _ = loaded.obs_get_proc_handler
            return loaded
        end)
        if found then return opened end
    end
    return nil, "libobs cannot be opened"
end

-- Calls a procedure with a fresh calldata, filled by `fill` and read by `read`; frees it.
local function call(handler, procedure, fill, read)
    local data = ffi.new("avatar_cam_calldata")
    if fill then fill(data) end
    local called = library.proc_handler_call(handler, procedure, data)
    local result = called and read and read(data) or nil
    if data.stack ~= nil and not data.fixed then library.bfree(data.stack) end
    return called, result
end

local function set_string(data, key, value) library.calldata_set_data(data, key, value, #value + 1) end

local function set_pointer(data, key, value)
    library.calldata_set_data(data, key, ffi.new("void*[1]", value), ffi.sizeof("void*"))
end

local function get_pointer(data, key)
    local out = ffi.new("void*[1]")
    if library.calldata_get_data(data, key, out, ffi.sizeof("void*")) and out[0] ~= nil then return out[0] end
    return nil
end

local function find_vendor()
    if vendor then return true end
    if second_way_only then return false, "asked for the second way" end
    if not library then
        local err
        library, err = open_library()
        if not library then return false, err end
    end
    local called
    called, websocket = call(library.obs_get_proc_handler(), "obs_websocket_api_get_ph", nil,
        function(data) return get_pointer(data, "ph") end)
    if not called or not websocket then return false, "obs-websocket is not loaded" end
    -- A vendor cannot be unregistered: after a reload of this script its name is taken, try the next.
    for i = 1, 99 do
        local name = i == 1 and VENDOR or (VENDOR .. "-" .. i)
        local _, registered = call(websocket, "vendor_register",
            function(data) set_string(data, "name", name) end,
            function(data) return get_pointer(data, "vendor") end)
        if registered then
            vendor = registered
            return true
        end
    end
    return false, "obs-websocket takes no more vendors until OBS restarts"
end

---------------------------------------------------------------- publishing

local function quote(text)
    return '"' .. tostring(text):gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

local function encode(fields)
    local parts = {}
    for key, value in pairs(fields) do
        local plain = type(value) == "number" or type(value) == "boolean"
        parts[#parts + 1] = quote(key) .. ":" .. (plain and tostring(value) or quote(value))
    end
    return "{" .. table.concat(parts, ",") .. "}"
end

local function publish(fields)
    seq = seq + 1
    fields.seq = seq
    local json = encode(fields)
    local found, err = find_vendor()
    if found then
        way, reason = "vendor event", ""
        local data = library.obs_data_create_from_json(json)
        call(websocket, "vendor_event_emit", function(params)
            set_pointer(params, "vendor", vendor)
            set_string(params, "type", "hotkey")
            set_pointer(params, "data", data)
        end)
        library.obs_data_release(data)
    else
        way, reason = "renaming", tostring(err)
        if not messenger then
            messenger = obs.obs_source_create("color_source", VENDOR .. ":ready", nil, nil)
        end
        obs.obs_source_set_name(messenger, VENDOR .. ":" .. json)
    end
end

---------------------------------------------------------------- names

local function read_names()
    local file = io.open(script_path() .. NAMES_FILE, "r")
    if not file then return {} end
    local found = {}
    for line in file:lines() do
        line = line:gsub("%s+$", "")
        if #line > 0 and #found < SLOTS then found[#found + 1] = line end
    end
    file:close()
    return found
end

local function slot_label(prefix, slot)
    return "Avatar Cam: " .. prefix .. slot .. (names[slot] and (" " .. names[slot]) or "")
end

local function refresh_names()
    local found = read_names()
    if table.concat(found, "\n") == table.concat(names, "\n") then return end
    names = found
    for _, entry in pairs(hotkeys) do
        if entry.slot then obs.obs_hotkey_set_description(entry.handle, entry.label()) end
    end
end

---------------------------------------------------------------- hotkeys

-- Registers one hotkey. `held` ones also publish their release.
local function add(settings, id, action, label, slot, held)
    local handle = obs.obs_hotkey_register_frontend(id, label(), function(pressed)
        if not pressed and not held then return end
        local fields = { action = action, pressed = pressed }
        if slot then
            fields.slot = slot
            fields.name = names[slot] or ""
        end
        publish(fields)
    end)
    local saved = obs.obs_data_get_array(settings, id)
    obs.obs_hotkey_load(handle, saved)
    obs.obs_data_array_release(saved)
    hotkeys[id] = { handle = handle, slot = slot, label = label }
end

local function fixed(text)
    return function() return "Avatar Cam: " .. text end
end

function script_description()
    return "Avatar Cam hotkeys. Bind them in Settings > Hotkeys (search for \"Avatar\"). "
        .. "Needs Tools > WebSocket Server Settings > Enable WebSocket server."
end

function script_load(settings)
    second_way_only = obs.obs_data_get_bool(settings, "second_way_only")
    names = read_names()
    add(settings, "avatar_cam.next", "next", fixed("next"))
    add(settings, "avatar_cam.previous", "previous", fixed("previous"))
    add(settings, "avatar_cam.mute", "mute", fixed("mute"))
    add(settings, "avatar_cam.idle", "idle", fixed("idle"))
    add(settings, "avatar_cam.talk", "talk", fixed("push to talk"), nil, true)
    for slot = 1, SLOTS do
        add(settings, "avatar_cam.show" .. slot, "switch", function() return slot_label("", slot) end, slot)
    end
    for slot = 1, SLOTS do
        add(settings, "avatar_cam.hold" .. slot, "hold", function() return slot_label("hold to show ", slot) end,
            slot, true)
    end
    obs.timer_add(refresh_names, REFRESH_MS)
end

function script_save(settings)
    for id, entry in pairs(hotkeys) do
        local saved = obs.obs_hotkey_save(entry.handle)
        obs.obs_data_set_array(settings, id, saved)
        obs.obs_data_array_release(saved)
    end
end

-- OBS ends the timer by itself; timer_remove in here crashes it (29.0.2).
function script_unload()
    if messenger then
        obs.obs_source_remove(messenger)
        obs.obs_source_release(messenger)
        messenger = nil
    end
end

function script_properties()
    local properties = obs.obs_properties_create()
    local text = way == "none" and "No key was pressed yet." or ("Last key sent by " .. way
        .. (reason ~= "" and (" (" .. reason .. ")") or "") .. ".")
    obs.obs_properties_add_text(properties, "way", text, obs.OBS_TEXT_INFO)
    return properties
end
