SELECT {{ contracted() }}
FROM {{ source('contact_center', 'agent_finding') }}
